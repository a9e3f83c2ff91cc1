"""Expected seconds of cells, and the order in which workers get them."""

import heapq
from dataclasses import replace

import numpy as np
import pytest

from bench.suites.cell import Cell
from bench.suites.grid import pairs
from bench.suites.suite import load_suite
from bench.sweeps.cost import Cost, longest_first
from bench.sweeps.expected_time import modelled_seconds
from bench.sweeps.step_costs import step_costs
from estimators.registry import estimators
from tests.support.sweeps import small_cells


class Known(Cost):
    """Costs that are known exactly: a cell's seconds are in its seed."""

    def expected(self, cell: Cell, task: str) -> float:
        return cell.seed / 1000


def cells_of(seconds: np.ndarray) -> list[Cell]:
    (cell,) = small_cells(samples=2, estimators=["rloo"])
    return [replace(cell, seed=int(1000 * each), point=f"{number}") for number, each in enumerate(seconds)]


def makespan(cells: list[Cell], jobs: int) -> float:
    """When the last of the workers ends, of which each takes the next cell when it is free."""
    free = [0.0] * jobs
    for cell in cells:
        heapq.heappush(free, heapq.heappop(free) + cell.seed / 1000)
    return max(free)


@pytest.mark.parametrize("jobs", [1, 2, 7, 64])
@pytest.mark.parametrize("seed", range(5))
def test_no_worker_is_left_alone_with_a_long_cell(jobs, seed):
    """Within 1.1 × the larger of the longest cell and an equal share, where a few cells hold most of the time."""
    cells = cells_of(np.random.default_rng(seed).lognormal(0, 2, 100 * jobs))
    ordered = longest_first(cells, "accuracy", Known(), jobs)
    least = max(*(cell.seed for cell in cells), sum(cell.seed for cell in cells) / jobs) / 1000
    assert sorted(cell.point for cell in ordered) == sorted(cell.point for cell in cells)
    assert makespan(ordered, jobs) <= 1.1 * least


def test_a_long_cell_at_the_end_costs_its_length_without_the_order():
    """The test above can fail: the order of the suite does."""
    cells = cells_of(np.array([*[1.0] * 100, 50.0]))
    assert makespan(cells, 2) == 100 and makespan(longest_first(cells, "accuracy", Known(), 2), 2) == 75


def test_short_cells_keep_the_order_of_the_suite():
    cells = cells_of(np.array([*[1.0, 1.5] * 50, 50.0, 60.0]))
    ordered = longest_first(cells, "accuracy", Known(), 2)
    assert [cell.point for cell in ordered] == ["101", "100", *map(str, range(100))]


def test_records_correct_the_prediction_of_like_cells_by_their_ratio():
    two, four = small_cells(estimators=["rloo"])
    other = small_cells(samples=2, estimators=["reinforce"])[0]
    cost = Cost(limit=600.0)
    assert cost.expected(two, "accuracy") == modelled_seconds(two, "accuracy") and not cost.measured
    cost.add(two, "accuracy", 3 * modelled_seconds(two, "accuracy"))
    for cell in (two, four, other):  # the same estimator, and another on the same problem
        assert cost.expected(cell, "accuracy") == pytest.approx(3 * modelled_seconds(cell, "accuracy"))
    assert cost.expected(two, "throughput") == modelled_seconds(two, "throughput")
    cost.add(two, "accuracy", 1e6)
    assert cost.expected(four, "accuracy") == 600.0 and cost.expected(four, "plan") == 0.0


def test_a_prediction_grows_with_work_and_ends_at_the_budgets():
    def seconds(**changes) -> float:
        return modelled_seconds(small_cells(samples=[4], estimators=["rloo"], **changes)[0], "accuracy")

    few, many = ({"max_replicates": most, "max_evaluations": 10**12} for most in (4096, 10**9))
    assert seconds(accuracy=few) < seconds(accuracy=many) / 5
    assert seconds(accuracy=many | {"max_evaluations": 10_000}) < seconds(accuracy=few)
    assert seconds(accuracy=many | {"max_replicates": 10**12, "bias_resolution": 1e-6, "max_seconds": 5.0}) < 6.0
    large = {"distribution": {"name": "bernoulli", "size": 3000}, "objective": "quadratic_bits"}
    assert seconds(accuracy=few, problems=[large]) > 10 * seconds(accuracy=few)


def test_every_built_in_estimator_and_nearly_every_problem_has_a_measured_cost():
    known = step_costs()
    missing = {name for name, cls in estimators if cls.__module__.startswith("estimators.")} - set(known["estimators"])
    assert not missing, f"python -m bench.sweeps.step_costs measures {missing}"
    suite = load_suite("quick")
    keys = {
        f"{own.columns['objective']} {own.columns['objective_params']} "
        f"{own.columns['distribution']} {own.columns['distribution_params']}"
        for own in pairs(suite)
        if own.offer
    }
    assert keys <= set(known["problems"])
