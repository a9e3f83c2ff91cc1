"""What a step costs: seconds per evaluation of each built-in problem, calls of each built-in estimator.

`python -m bench.sweeps.step_costs` measures them (about a minute of processor time) and writes `step_costs.json`, from
which `bench.sweeps.expected_time` predicts the time of cells that were never measured: processor time in float64 on one
thread, which other work on the machine does not lengthen. A problem or an estimator that is missing there is predicted
from those that are like it.
"""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch

from bench.measure.estimates.batching import quarter, replicates_per_chunk
from bench.measure.estimates.calls import count
from bench.measure.estimates.gradients import Gradients
from bench.measure.execution.modes import kept_generator
from bench.provenance.identity import canonical
from bench.suites.builtin import suites
from bench.suites.cell import Cell, estimator_of, problem_of
from bench.suites.grid import suite_cells
from bench.suites.suite import load_suite
from bench.tables.sizes import size_of
from estimators.core import Fitted
from estimators.errors import BadInput
from estimators.registry import estimators

COSTS_FILE = Path(__file__).with_name("step_costs.json")
PROBES = ("reinforce", "reparameterisation", "set_reinforce", "set_pathwise", "policy_loss", "evolution_strategy")
"""Estimators of few calls, of which the first that fits times a problem."""
FEWER_DRAWS, MORE_DRAWS = 2, 8
"""Draws per estimate of the two timings that tell the cost of an estimate from that of a draw."""
USUAL_DRAWS = 4
"""Draws per estimate of the cells on which calls are counted."""
MOST_COORDINATES = 100
"""Of the problems on which calls are counted."""
MOST_REPLICATES = 16_384
"""The budget of which a quarter is a chunk, as in an accuracy measurement."""


def problem_key(cell: Cell) -> str:
    """The key of a problem's cost: distribution and objective with their settings; cost hardly depends on the point.

    >>> from bench.suites.suite import load_suite
    >>> problem_key(suite_cells(load_suite("quick"))[0])
    'quadratic_bits {"t":0.45} bernoulli {"size":5}'
    """
    return f"{cell.objective} {cell.objective_params} {cell.distribution} {cell.distribution_params}"


@cache
def step_costs() -> dict[str, Any]:
    """The measured costs.

    `problems`: by `problem_key`, seconds per estimate and per evaluation, and the number of parameters. `estimators`:
    by name, calls per draw at any size, those per draw and coordinate, seconds of a step of fitting, and seconds beyond
    those of the calls per draw and coordinate.
    """
    return json.loads(COSTS_FILE.read_text(encoding="utf-8"))


def coordinates(cell: Cell) -> int:
    """The number of random variables of a cell: the setting `size` of its distribution, else its parameters."""
    return size_of(cell.distribution_params) or cell.dim


@lru_cache(maxsize=4096)
def fitting_steps(params: str) -> int:
    """The setting `steps` of an estimator; 0 without one."""
    return json.loads(params).get("steps", 0)


@cache
def timed_problem(cell: Cell) -> tuple[str, float, float, int] | None:
    """The key of a cell's problem, seconds per estimate and per evaluation, and its number of parameters; None without
    a probe that fits it."""
    problem = problem_of(cell)
    own: Gradients | None = None
    for name in PROBES:
        tried = Gradients(problem, estimators.get(name), MORE_DRAWS)
        if tried.offer.unmet(tried.estimator, FEWER_DRAWS) is None:
            own = tried
            break
    if own is None:
        return None
    calls = sum(count(own)) / MORE_DRAWS
    few, more = (seconds_per_estimate(own.by(own.estimator, samples)) for samples in (FEWER_DRAWS, MORE_DRAWS))
    per_draw = max((more - few) / (MORE_DRAWS - FEWER_DRAWS), more / (10 * MORE_DRAWS))
    return problem_key(cell), max(few - FEWER_DRAWS * per_draw, 0.0), per_draw / calls, problem.dim


def seconds_per_estimate(gradients: Gradients) -> float:
    """The least time of an estimate in three steps of a chunk."""
    replicates = quarter(replicates_per_chunk(gradients), MOST_REPLICATES)
    return min(timed_once(lambda: gradients(replicates)) for _ in range(3)) / replicates


def timed_once(step: Callable[[], object]) -> float:
    """Processor seconds of one call."""
    began = time.process_time()
    step()
    return time.process_time() - began


def measured_problems(cells: Iterable[Cell]) -> dict[str, list[float]]:
    """The costs of the problems of these cells, by key."""
    every = {problem_key(cell): cell for cell in cells if cell.dim and not cell.reason}
    timed = filter(None, map(timed_problem, every.values()))
    return {key: [*(float(f"{each:.3g}") for each in seconds), dim] for key, *seconds, dim in sorted(timed)}


def measured_estimators(cells: list[Cell]) -> dict[str, list[float]]:
    """The costs of the estimators of these cells, by name; see `step_costs`."""
    own: dict[str, list[Cell]] = {}
    for cell in cells:
        if not cell.reason and coordinates(cell) <= MOST_COORDINATES:
            own.setdefault(cell.estimator, []).append(cell)
    return {name: cost_of_estimator(own[name]) for name in sorted(own)}


def cost_of_estimator(cells: list[Cell]) -> list[float]:
    """Calls per draw at any size, those per draw and coordinate, seconds of a step of fitting, and seconds beyond those
    of the calls per draw and coordinate.

    Calls are told apart on the distribution and objective that the suites have in the most different sizes.
    """
    alike: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        alike.setdefault((cell.distribution, cell.objective), []).append(cell)
    ranges = [(min(own, key=coordinates), max(own, key=coordinates)) for own in alike.values()]
    low, high = max(ranges, key=lambda ends: coordinates(ends[1]) / coordinates(ends[0]))
    typical = min(
        cells, key=lambda cell: (not fitting_steps(cell.estimator_params), abs(coordinates(cell) - 5), cell.id)
    )
    few, many = (sum(count(opened_cell(cell)[0])) / cell.samples for cell in (low, high))
    per_coordinate = max(many - few, 0.0) / max(coordinates(high) - coordinates(low), 1)
    own, fitting = opened_cell(typical)
    own_work = work_beyond_calls(typical, own)
    always = max(few - per_coordinate * coordinates(low), 0.0)
    return [float(f"{each:.3g}") for each in (always, per_coordinate, fitting, own_work)]


def work_beyond_calls(cell: Cell, own: Gradients) -> float:
    """Seconds of an estimate beyond those of its calls, per draw and coordinate."""
    found = timed_problem(cell)
    if found is None:
        return 0.0
    _, per_estimate, per_call, _ = found
    beyond = seconds_per_estimate(own) - per_estimate - sum(count(own)) * per_call
    return max(beyond, 0.0) / (cell.samples * coordinates(cell))


def opened_cell(cell: Cell) -> tuple[Gradients, float]:
    """The gradients of a cell, fitted, and the seconds of one step of fitting."""
    own = Gradients(problem_of(cell), estimator_of(cell), cell.samples)
    if not isinstance(own.estimator, Fitted) or own.estimator.state is not None or not own.estimator.steps:
        return own, 0.0
    q, steps, began = own.problem.build(own.parameters), own.estimator.steps, time.process_time()
    tuned = own.by(own.estimator.fit(q, own.function, own.samples, steps))
    return tuned, (time.process_time() - began) / steps


def _cells(name: str) -> list[Cell]:
    try:
        return suite_cells(load_suite(name))
    except BadInput as error:  # its data are not installed
        print(f"left out: suite {name}: {error}")
        return []


def main() -> None:
    """Measures all built-in problems and estimators, and writes the file."""
    torch.set_num_threads(1)
    every = [cell for name in suites() for cell in _cells(name)]
    with kept_generator("cpu"):
        torch.manual_seed(0)
        problems = measured_problems(replace(cell, dtype="float64") for cell in every)
        usual = [cell for cell in every if cell.samples == USUAL_DRAWS]
        found = {"problems": problems, "estimators": measured_estimators(usual)}
    lines = [
        f'"{part}": {{\n' + ",\n".join(f" {canonical(key)}: {canonical(own)}" for key, own in rows.items()) + "\n}"
        for part, rows in found.items()
    ]
    COSTS_FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
