"""What the tests of sweeps share: a small suite, a record, the command in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

from bench.cell import Cell, record
from bench.config import parse_suite
from bench.grid import cells

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
    return cells(suite(**changes))


def finished(cell: Cell, task="accuracy", **metrics):
    """A made-up record of a cell."""
    found = [VALUE | {"metric": name, "value": value} for name, value in metrics.items()]
    outcome = {"status": "ok", "reason": "", "verdict": "unclear", "stop_reason": "precision", "replicates": 10}
    return record(cell, task, outcome | {"measurements": found}, 0.5)


def gradest(*arguments, folder: Path, **environment) -> subprocess.CompletedProcess[str]:
    """The command, run in `folder`."""
    command = [sys.executable, "-c", "from bench.cli import main; main()", *map(str, arguments)]
    root = str(Path(__file__).parent.parent)
    own = os.environ | {"PYTHONPATH": root, "COLUMNS": "200", "OMP_NUM_THREADS": "1"} | environment
    return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=120, check=False)
