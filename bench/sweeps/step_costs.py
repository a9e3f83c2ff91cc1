"""What a step costs: seconds per evaluation of each built-in problem, calls of each built-in estimator.

`python -m bench.sweeps.step_costs` measures them (about a minute of processor time) and writes `step_costs.json`, from
which `bench.sweeps.expected_time` predicts the time of cells that were never measured. They are measured in float64 on
one thread. A problem or an estimator that is missing there is predicted from those that are like it.
"""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
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
from estimators.core import Fitted
from estimators.registry import estimators

FILE = Path(__file__).with_name("step_costs.json")
PROBES = ("reinforce", "reparameterisation", "set_reinforce", "set_pathwise", "policy_loss", "evolution_strategy")
"""Estimators of few calls, of which the first that fits times a problem."""
FEW, MORE = 2, 8
"""Draws per estimate of the two timings that tell the cost of an estimate from that of a draw."""
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
    by name, calls per draw at any size, those per draw and parameter, and seconds of fitting.
    """
    return json.loads(FILE.read_text(encoding="utf-8"))


def timed_problem(cell: Cell) -> tuple[float, float, int] | None:
    """Seconds per estimate and per evaluation of a cell's problem, and its number of parameters; None without a probe
    that fits it."""
    problem = problem_of(cell)
    own: Gradients | None = None
    for name in PROBES:
        tried = Gradients(problem, estimators.get(name), MORE)
        if tried.offer.unmet(tried.estimator, FEW) is None:
            own = tried
            break
    if own is None:
        return None
    calls = sum(count(own)) / MORE
    few, more = (seconds_per_estimate(own.by(own.estimator, samples)) for samples in (FEW, MORE))
    per_draw = max((more - few) / (MORE - FEW), more / (10 * MORE))
    return max(few - FEW * per_draw, 0.0), per_draw / calls, problem.dim


def seconds_per_estimate(gradients: Gradients) -> float:
    """The least time of an estimate in three steps of a chunk."""
    replicates = quarter(replicates_per_chunk(gradients), MOST_REPLICATES)
    return min(timed_once(lambda: gradients(replicates)) for _ in range(3)) / replicates


def timed_once(step: Callable[[], object]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def measured_problems(cells: Iterable[Cell]) -> dict[str, list[float]]:
    """The costs of the problems of these cells, by key."""
    found = {}
    for key, cell in {problem_key(cell): cell for cell in cells if cell.dim and not cell.reason}.items():
        cost = timed_problem(cell)
        if cost:
            found[key] = [*(float(f"{each:.3g}") for each in cost[:2]), cost[2]]
    return dict(sorted(found.items()))


def measured_estimators(cells: list[Cell]) -> dict[str, list[float]]:
    """Calls per draw, those per draw and parameter, and seconds of fitting, by estimator."""
    own: dict[str, list[Cell]] = {}
    for cell in cells:
        if not cell.reason:
            own.setdefault(cell.estimator, []).append(cell)
    return {name: calls_of([*own[name]]) for name in sorted(own)}


def calls_of(cells: list[Cell]) -> list[float]:
    """Calls per draw, those per draw and parameter, and seconds of fitting of one estimator."""
    ordered = sorted(cells, key=lambda cell: cell.dim)
    low, high = ordered[0], ordered[-1]
    few, fitting = calls_per_draw(low)
    many, _ = calls_per_draw(high) if high.dim > low.dim else (few, 0.0)
    per_parameter = max(many - few, 0.0) / max(high.dim - low.dim, 1)
    if per_parameter * high.dim < 0.2 * many:  # calls that depend on the family, not on its size
        return [round(max(few, many), 3), 0.0, fitting]
    return [round(max(few - per_parameter * low.dim, 0.0), 3), round(per_parameter, 4), fitting]


def calls_per_draw(cell: Cell) -> tuple[float, float]:
    """Calls of f and its gradient per draw of an estimate, and the seconds of fitting."""
    own, seconds = Gradients(problem_of(cell), estimator_of(cell), cell.samples), 0.0
    if isinstance(own.estimator, Fitted) and own.estimator.state is None:
        q, began = own.problem.build(own.parameters), time.perf_counter()
        own = own.by(own.estimator.fit(q, own.function, own.samples, own.estimator.steps))
        seconds = round(time.perf_counter() - began, 3)
    return sum(count(own)) / cell.samples, seconds


def main() -> None:
    """Measures all built-in problems and estimators, and writes the file."""
    torch.set_num_threads(1)
    every = [cell for name in suites() for cell in suite_cells(load_suite(name))]
    with kept_generator("cpu"):
        torch.manual_seed(0)
        problems = measured_problems(replace(cell, dtype="float64") for cell in every)
        found = {"problems": problems, "estimators": measured_estimators([c for c in every if c.samples == MORE])}
    lines = [
        f'"{part}": {{\n' + ",\n".join(f" {canonical(key)}: {canonical(own)}" for key, own in rows.items()) + "\n}"
        for part, rows in found.items()
    ]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
