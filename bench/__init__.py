"""The benchmark suite: distributions, objectives, exact gradients, measuring, sweeps, tables, reports.

Each verb of the command line is a function here; they are imported when they are first used, as torch is slow to.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "compare": "bench.compare",
    "load": "bench.store",
    "load_suite": "bench.config",
    "plan": "bench.verbs",
    "report": "bench.report",
    "run": "bench.verbs",
    "status": "bench.verbs",
}
__all__ = ["compare", "load", "load_suite", "plan", "report", "run", "status"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
