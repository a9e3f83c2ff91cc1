"""Predicts the seconds of a cell that was never measured: evaluations × the measured cost of its problem.

A cell draws R estimates until variance and verdict are known. R is not known before: over the cells of the built-in
suites, the estimates that a cell needs are about log-normal around 40 × (1 ÷ resolution² + 1 ÷ precision²), fewer with
many parameters, over which the noise averages, and the budget cuts them off. An estimate takes the calls of its
estimator × the seconds per evaluation of its problem, as `step_costs` measured them, and the moments take a time that
grows with the number of parameters. Over the cells of a suite the sum is good to a factor of two; single cells are not.
"""

from functools import lru_cache
from math import erf, exp, log

from bench.measure.accuracy.stopping import AccuracySettings
from bench.measure.timing.blocks import ThroughputSettings
from bench.suites.cell import Cell
from bench.sweeps.cell_record import settings_of
from bench.sweeps.step_costs import coordinates, fitting_steps, problem_key, step_costs

PREPARING = {"accuracy": 0.08, "throughput": 0.1}
"""Seconds of a cell of few estimates: preparing, counting calls, statistics."""
NEEDED_AT_ONE, SPREAD = 40.0, 2.0
"""Of the estimates that a cell needs: the median where both aims are 1, and the standard deviation of the logarithm."""
USUAL_SIZE = 100
"""Parameters beyond which a cell needs fewer estimates."""
ALL_STAGES = 1.3
"""Estimates of all stages ÷ estimates of the first: second stages, controls, chunks rounded up."""
MOMENTS = 1.5e-8
"""Seconds per number of an estimate for its moments."""
COMPILING, COMPILED = 4.0, 0.3
"""Seconds of compiling a step, and the seconds of a compiled step ÷ those of an eager one."""
VISITED, TIMED_STEPS = 1.2, 20
"""Of a timed cell: its seconds ÷ `max_seconds`, and the steps that it takes at least, warm-up included."""
SHORTEST_STEP = 0.001
"""Seconds of a timed step at least, whose batch is chosen so that it takes no longer."""
UNKNOWN_ESTIMATOR = (2.0, 0.0, 0.0, 0.0)
"""Costs of an estimator that was not measured; see `step_costs`."""
PER_CALL, PER_NUMBER = 2e-7, 1.5e-8
"""Seconds of an evaluation of an unknown problem, and of each of its parameters."""


def modelled_seconds(cell: Cell, task: str) -> float:
    """The predicted seconds of a cell's task on an idle core; 0 for a task without a measurement."""
    if task not in PREPARING:
        return 0.0
    always, per_coordinate, per_step, own_work = step_costs()["estimators"].get(cell.estimator, UNKNOWN_ESTIMATOR)
    per_estimate, per_call = cost_of_problem(problem_key(cell), cell.dim)
    calls = (always + per_coordinate * coordinates(cell)) * cell.samples
    compiling, faster = (COMPILING, COMPILED) if cell.mode == "compile" else (0.0, 1.0)
    estimate = faster * (per_estimate + calls * per_call + own_work * cell.samples * coordinates(cell))
    fixed = PREPARING[task] + per_step * fitting_steps(cell.estimator_params) + compiling
    return fixed + (timing_seconds(cell, estimate) if task == "throughput" else drawing_seconds(cell, estimate, calls))


def timing_seconds(cell: Cell, estimate: float) -> float:
    """The predicted seconds of timing a step, from the seconds of an estimate."""
    settings: ThroughputSettings = settings_of("throughput", cell.throughput)
    step = max(SHORTEST_STEP, (settings.replicates or 1) * estimate)
    return VISITED * settings.max_seconds + TIMED_STEPS * step


def drawing_seconds(cell: Cell, estimate: float, calls: float) -> float:
    """The predicted seconds of drawing estimates until the cell is settled, from the seconds and calls of one."""
    settings: AccuracySettings = settings_of("accuracy", cell.accuracy)
    precise = settings.bias_resolution**-2 + settings.precision**-2
    needed = NEEDED_AT_ONE * precise / (1 + cell.dim / USUAL_SIZE) ** 0.5
    replicates = expected_replicates(needed, settings.within(calls).max_replicates)
    seconds = ALL_STAGES * replicates * (estimate + MOMENTS * cell.dim)
    return seconds if settings.max_seconds is None else min(seconds, settings.max_seconds)


@lru_cache(maxsize=4096)
def expected_replicates(needed: float, most: int) -> float:
    """The mean of the smaller of `most` and a log-normal number of estimates with the median `needed`.

    >>> [round(expected_replicates(16_000, most)) for most in (64, 8192, 65_536, 10**9)]
    [64, 6326, 27301, 118216]
    """
    centre = log(needed)
    at = (log(most) - centre) / SPREAD
    return exp(centre + SPREAD**2 / 2) * normal_below(at - SPREAD) + most * (1 - normal_below(at))


def normal_below(z: float) -> float:
    """The distribution function of a standard normal number."""
    return (1 + erf(z / 2**0.5)) / 2


@lru_cache(maxsize=4096)
def cost_of_problem(key: str, dim: int) -> tuple[float, float]:
    """Seconds per estimate and per evaluation of a problem.

    A problem that was not measured costs as much as the one of the same classes whose number of parameters is nearest,
    in proportion to that number.
    """
    known = step_costs()["problems"]
    if key in known:
        return known[key][0], known[key][1]
    alike = [cost for other, cost in known.items() if other.split(" ")[::2] == key.split(" ")[::2]]
    if not alike:
        return 0.0, PER_CALL + PER_NUMBER * dim
    per_estimate, per_call, own = min(alike, key=lambda cost: abs(log(max(cost[2], 1) / max(dim, 1))))
    return per_estimate * dim / max(own, 1), per_call * dim / max(own, 1)
