"""Measures on a GPU, within eight minutes, what no CPU can show, and leaves at most eight files.

    python -m tests.gpu_evidence [--device cuda] [--out results/gpu] [--short]

Each step is a process with a time limit; its output goes straight into `environment.txt`, so that whatever ends the
machine, what was found until then is on the disk. A step that fails leaves its error there. This module needs nothing
but the standard library, because the first step finds out what else there is.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from tests.gpu_evidence.files import FILES, LOG, without_names
from tests.gpu_evidence.steps import Step, run

ROOT = Path(__file__).parents[2]
PACKAGES = ROOT / "build" / "gpu-packages"
"""Where the first step puts the wheels that the machine lacks."""
MOST = 480.0
"""Seconds for everything."""


def main() -> None:
    """Runs the steps and says on the terminal how each ended."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu_evidence", description=main.__doc__)
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try the steps where there is no GPU")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "gpu", help="the folder of the results")
    parser.add_argument("--short", action="store_true", help="every step, with a part of its work")
    given = parser.parse_args()
    out = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    for name in FILES:  # nothing of an earlier try is taken for this one's
        (out / name).unlink(missing_ok=True)
    every = steps(out, given.device, given.short)
    run(every, out / LOG, until=time.monotonic() + MOST, variables=variables(given.device), folder=ROOT)
    without_names(out, ROOT)
    print(f"{out}: {', '.join(sorted(path.name for path in out.iterdir() if path.name in FILES))}")


def variables(device: str) -> dict[str, str]:
    """The environment of every step."""
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(PACKAGES)]),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
        "GRADEST_DEVICE": device,
        "GRADEST_NO_SHAPES": "1",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # JAX shares the device's memory with torch
    }


def steps(out: Path, device: str, short: bool) -> list[Step]:
    """What is done, in order, each with its seconds."""
    own = [str(out), device, "short" if short else "whole"]
    tests = ["-k", "timing or ceilings"] if short else ["--durations=0"]

    def module(name: str, *words: str) -> list[str]:
        return [sys.executable, "-m", name, *words]

    return [
        Step("machine", 20, module("tests.gpu_evidence.machine", str(PACKAGES), str(ROOT / "build" / "wheels"))),
        Step(
            "tests",
            150,
            module("pytest", "-v", "-m", "gpu", "-p", "tests.gpu_evidence.junit_after_each", "-p", "no:cacheprovider",
                   f"--junit-xml={out / 'junit.xml'}", *tests, "tests/whole/test_gpu.py"),
        ),
        Step("throughput", 120, module("tests.gpu_evidence.throughput", *own)),
        Step("saturation", 60, module("tests.gpu_evidence.saturation", *own)),
        Step("accuracy", 60, module("tests.gpu_evidence.accuracy", *own)),
        Step("trace", 20, module("tests.gpu_evidence.trace", *own)),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
