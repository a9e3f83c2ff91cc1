"""Every suite that comes with gradest can be planned, and `core` holds everything that is registered."""

from functools import lru_cache

import pytest

import bench
from bench.cell import Cell
from bench.config import suites
from bench.distributions import distributions
from bench.grid import cells
from bench.objectives import objectives
from estimators.registry import estimators

NAMES = (
    "continuous",
    "core",
    "discontinuous",
    "discrete",
    "exactness",
    "extreme",
    "finance",
    "policy",
    "quick",
    "scaling",
    "throughput",
    "vae",
)
KINDS = {"estimator": estimators, "distribution": distributions, "objective": objectives}
NOT_IN_CORE: dict[str, str] = {}
"""What `core` leaves out, with the reason."""


@lru_cache
def planned(name: str) -> list[Cell]:
    return cells(bench.load_suite(name))


def test_the_suites_are_there():
    assert set(NAMES) <= set(suites())


@pytest.mark.parametrize("name", NAMES)
def test_every_problem_makes_sense(name):
    """Objectives fit their families, and most estimators have a cell; a pair that never fits is a slip in the file."""
    ran = [cell for cell in planned(name) if not cell.reason]
    assert ran
    asked = {(cell.distribution, cell.objective) for cell in planned(name)}
    assert not asked - {(cell.distribution, cell.objective) for cell in ran}


@pytest.mark.parametrize("column", KINDS)
def test_core_holds_everything(column):
    own = {name for name, cls in KINDS[column] if cls.__module__.startswith(("bench.", "estimators."))}
    ran = {getattr(cell, column) for cell in planned("core") if not cell.reason}
    assert own - ran == {name for name in NOT_IN_CORE if name in own}


def test_unbiased_estimators_meet_three_exactness_problems():
    """Each on ≥ 3 cells that differ in problem or point."""
    met: dict[str, set[tuple[str, ...]]] = {}
    for cell in planned("exactness"):
        if not cell.reason:
            problem = (cell.distribution, cell.distribution_params, cell.objective, cell.objective_params, cell.point)
            met.setdefault(cell.estimator, set()).add(problem)
    unbiased = {name for name, cls in estimators if cls.__module__.startswith("estimators.") and cls().traits.unbiased}
    assert {name for name in unbiased if len(met.get(name, ())) < 3} == set()


def test_extreme_is_extreme_and_throughput_is_compiled():
    assert {cell.point for cell in planned("extreme")} == {"extreme"}
    assert {cell.mode for cell in planned("throughput")} == {"eager", "compile"}
    assert {cell.dtype for cell in planned("throughput")} == {"float32"}
    assert max(cell.dim for cell in planned("scaling")) >= 10_000
