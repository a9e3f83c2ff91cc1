"""The benchmark suite: distributions, objectives, exact gradients, measuring, sweeps, tables, reports.

Each verb of the command line is a function here; they are imported when they are first used, as torch is slow to.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

_HOME = {
    "check": "bench.checks.conformance",
    "collect": "bench.shards",
    "compare": "bench.compare",
    "describe": "bench.catalogue",
    "environment": "bench.environment",
    "export": "bench.verbs",
    "listing": "bench.catalogue",
    "load": "bench.store",
    "load_suite": "bench.config",
    "plan": "bench.verbs",
    "recommend": "bench.recommend",
    "report": "bench.report",
    "run": "bench.verbs",
    "status": "bench.verbs",
    "verify": "bench.facts.runner",
}


def __dir__() -> list[str]:
    return sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


class _Package(ModuleType):
    """Importing the submodule `bench.compare` leaves `bench.compare` the function."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _HOME or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
