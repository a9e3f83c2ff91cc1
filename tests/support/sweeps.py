"""What the tests of sweeps share: a small suite, a record, the command."""

import io
import os
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from bench.cli.main import main
from bench.suites.cell import Cell
from bench.suites.grid import suite_cells
from bench.suites.suite import parse_suite
from bench.sweeps.cell_record import record
from bench.tables.records import Task

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
