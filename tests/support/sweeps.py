"""What the tests of sweeps share: a small suite, a record, the command."""

import io
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from bench.cli.main import main
from bench.suites.cell import Cell
from bench.suites.grid import suite_cells
from bench.suites.suite import parse_suite
from bench.sweeps.cell_record import record
from bench.tables.records import Task
from tests.support.signals import children_hear_ctrl_c

SMALL = {
    "samples": [2, 4],
    "metrics": ["accuracy"],
    "estimators": ["rloo", "reinforce"],
    "accuracy": {"max_replicates": 1024},
    "problems": [{"distribution": {"name": "bernoulli", "size": 3}, "objective": "quadratic_bits"}],
}
TOML = """
samples = [2, 4]
metrics = ["accuracy"]
estimators = ["rloo", "reinforce"]
accuracy = { max_replicates = 1024 }
[[problems]]
distribution = { name = "bernoulli", size = 3 }
objective = "quadratic_bits"
"""
ROOT = Path(__file__).parents[2]
HANG = 600.0
"""Seconds after which a test that waits for an event gives up: it hangs. How long the event takes is for tests/perf."""
LONG = ("run", "long.toml", "--jobs", "1", "--plugin", "endless.py")
ENDLESS = """
import time
from dataclasses import dataclass
from estimators import register
from estimators.score_function import Reinforce

@register("endless")
@dataclass(frozen=True)
class Endless(Reinforce):
    'With more than six draws it never ends.'

    def coefficient(self, value):
        time.sleep(1e6 * (len(value) > 6))
        return value
"""
VALUE = {"ci_low": None, "ci_high": None, "n": 10, "method": "made up", "block": "all"}


def suite(**changes):
    return parse_suite(SMALL | changes, "here")


def small_cells(**changes) -> list[Cell]:
    return suite_cells(suite(**changes))


def finished(cell: Cell, task: Task = "accuracy", **metrics):
    """A made-up record of a cell."""
    found = [VALUE | {"metric": name, "value": value} for name, value in metrics.items()]
    outcome = {"status": "ok", "reason": "", "verdict": "unclear", "stop_reason": "precision", "replicates": 10}
    return record(cell, task, outcome | {"measurements": found}, 0.5)


class Finished(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def gradest(*arguments, folder: Path) -> Finished:
    """The command in `folder`, in this process: torch is imported once for all tests."""
    out, err, before = io.StringIO(), io.StringIO(), Path.cwd()
    with (
        patch.object(sys, "argv", ["gradest", *map(str, arguments)]),
        patch.dict(os.environ, {"COLUMNS": "200"}),
        redirect_stdout(out),
        redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        os.chdir(folder)
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code
        finally:
            os.chdir(before)
    return Finished(int(code or 0), out.getvalue(), err.getvalue())


@contextmanager
def long_run(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A sweep of `long.toml` as a process with its own session: a few cells are measured, and one never ends."""
    (folder / "long.toml").write_text(
        TOML.replace("[2, 4]", f"{list(range(2, 10))}").replace('"reinforce"', '"endless"')
    )
    (folder / "endless.py").write_text(ENDLESS)
    command = [sys.executable, "-c", "from bench.cli.main import main; main()", *LONG]
    environment = {"PYTHONPATH": str(ROOT)}
    with children_hear_ctrl_c():
        run = subprocess.Popen(
            command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
    try:
        records = folder / "results/long/records-0.jsonl"
        while not (records.exists() and records.read_bytes().count(b"\n") > 3):
            assert run.poll() is None
            time.sleep(0.05)
        yield run
    finally:
        run.kill()
