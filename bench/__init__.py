"""The benchmark suite: distributions, objectives, exact gradients, measuring, sweeps, tables, reports.

Each verb of the command line is a function here. They are imported when they are first used, because importing torch
takes seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.advice.recommendation import recommend
    from bench.advice.trajectory import trajectory
    from bench.analysis.comparison import compare
    from bench.catalogue.listing import describe, listing
    from bench.pages.report import report
    from bench.provenance.machine import environment
    from bench.suites.suite import load_suite
    from bench.sweeps.outlook import plan
    from bench.sweeps.run import run
    from bench.sweeps.shards import collect
    from bench.sweeps.status import status
    from bench.tables.export import export
    from bench.tables.folder import load
    from bench.validation.checks.conformance import check
    from bench.validation.facts.runner import verify

    __version__: str

_HOMES = {
    "check": "bench.validation.checks.conformance",
    "collect": "bench.sweeps.shards",
    "compare": "bench.analysis.comparison",
    "describe": "bench.catalogue.listing",
    "environment": "bench.provenance.machine",
    "export": "bench.tables.export",
    "listing": "bench.catalogue.listing",
    "load": "bench.tables.folder",
    "load_suite": "bench.suites.suite",
    "plan": "bench.sweeps.outlook",
    "recommend": "bench.advice.recommendation",
    "report": "bench.pages.report",
    "run": "bench.sweeps.run",
    "status": "bench.sweeps.status",
    "trajectory": "bench.advice.trajectory",
    "verify": "bench.validation.facts.runner",
}
"""Where each public name is defined."""

__all__ = [
    "__version__",
    "check",
    "collect",
    "compare",
    "describe",
    "environment",
    "export",
    "listing",
    "load",
    "load_suite",
    "plan",
    "recommend",
    "report",
    "run",
    "status",
    "trajectory",
    "verify",
]


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("gradest")
    if name not in _HOMES:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
