"""Processes one after the other, each with a time limit, all within one; their output goes to one file as it comes."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.signals import children_hear_ctrl_c

GRACE = 5.0
"""Seconds between the interrupt, at which a step saves what it has, and its end."""


@dataclass(frozen=True)
class Step:
    """A command and the seconds after which it is interrupted."""

    name: str
    seconds: float
    command: Sequence[str]


def run(steps: Sequence[Step], log: Path, *, until: float, variables: Mapping[str, str], folder: Path) -> list[str]:
    """Runs the steps in `folder`; returns a line for each, which also goes to the terminal and into `log`.

    `until`: the time, by `time.monotonic`, at which everything has ended.
    """
    lines = []
    for number, step in enumerate(steps, 1):
        began = time.monotonic()
        seconds = min(step.seconds, until - began - GRACE)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"\n===== step {number}, {step.name}: at most {max(seconds, 0):.0f} s\n")
            file.flush()
            how = ended(step, seconds, file.fileno(), variables, folder) if seconds > 0 else "not begun: time is up"
            lines.append(f"step {number}, {step.name}: {how}, {time.monotonic() - began:.0f} s")
            file.write(f"===== {lines[-1]}\n")
        print(lines[-1], flush=True)
    return lines


def ended(step: Step, seconds: float, output: int, variables: Mapping[str, str], folder: Path) -> str:
    """How a step ended, in words; nothing of its process group outlives it."""
    try:
        with children_hear_ctrl_c():
            process = subprocess.Popen(
                step.command,
                cwd=folder,
                env=dict(variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
    except OSError as error:
        return f"cannot begin: {error}"
    late = False
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        late = True
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if late:
        return f"interrupted after {seconds:.0f} s"
    return "done" if process.returncode == 0 else f"failed with exit code {process.returncode}"
