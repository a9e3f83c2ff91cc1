"""The benchmark suite: distributions, objectives, exact gradients, measuring, sweeps, tables, reports.

Each verb of the command line is a function here. Functions and packages are imported when they are first used, because
importing torch takes seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench import distributions, objectives, plots
    from bench.advice.recommendation import recommend
    from bench.advice.trajectory import trajectory
    from bench.analysis.comparison import compare
    from bench.audits.audit import audit
    from bench.catalogue.listing import describe, listing
    from bench.catalogue.this_machine import environment
    from bench.pages.report import report
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

HOMES = {
    "audit": "bench.audits.audit",
    "check": "bench.validation.checks.conformance",
    "collect": "bench.sweeps.shards",
    "compare": "bench.analysis.comparison",
    "describe": "bench.catalogue.listing",
    "environment": "bench.catalogue.this_machine",
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
"""The module that defines each verb."""

__all__ = [
    "__version__",
    "audit",
    "check",
    "collect",
    "compare",
    "describe",
    "distributions",
    "environment",
    "export",
    "listing",
    "load",
    "load_suite",
    "objectives",
    "plan",
    "plots",
    "recommend",
    "report",
    "run",
    "status",
    "trajectory",
    "verify",
]


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:  # a type checker that saw this would take every misspelt name for one of the module's

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from importlib.metadata import version

            return version("gradest")
        if name in HOMES:
            return getattr(import_module(HOMES[name]), name)
        if name in __all__:
            return import_module(f"bench.{name}")
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
