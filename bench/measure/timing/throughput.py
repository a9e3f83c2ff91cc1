"""Measures the time per estimate: wall time of a whole measurement step, divided by its replicates.

A step draws, evaluates, differentiates and takes the mean and variance of one chunk of replicates, in the cell's mode.
Steps run back to back in blocks with one synchronisation at the end of each block; this is the cost in a training loop,
launches included. Caches are hot. Between the blocks, the step's random numbers are timed alone: a cost that no
implementation can avoid, and a sign of drift of the machine. On an accelerator the device's own time is measured too.
Memory is measured in a separate pass, and the first call is reported separately. Several cells are kept warm together
and visited in turn (`bench.sweeps.windows`), so that the interval covers what changes on the machine between the
visits. Slower changes are outside it: see the rows `real_idle` and `real_busy` of results/coverage.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import torch
from torch import Tensor
from torch.utils.benchmark import Timer, timer

from bench.measure.estimates.gradients import Gradients
from bench.measure.estimates.prepared import Execution, opened
from bench.measure.execution.modes import executed
from bench.measure.execution.seeding import seed_draws
from bench.measure.timing.blocks import VISITS, ThroughputSettings, TimedBlock, Timing, Visited
from bench.measure.timing.device import device_block
from bench.measure.timing.gpu_state import clocks, clocks_in_words
from bench.measure.timing.lock import alone
from bench.measure.timing.memory import peak_memory
from bench.measure.timing.random_numbers import Drawn
from bench.numerics.tensors import Tensors
from bench.problems.problem import Problem
from bench.statistics.moments import mean_and_spread
from bench.tables.metrics import Measurement, Outcome
from estimators.core import Estimator

TimedStep = Callable[[], tuple[Tensor, ...]]


def measure_throughput(
    problem: Problem, estimator: Estimator, samples: int, settings: ThroughputSettings, execution: Execution
) -> Outcome:
    """Measures one cell in a single visit; see `bench.sweeps.windows` for several cells. Restores torch's generators.

    Args:
        problem: The problem.
        estimator: The estimator; fitted first if it has something to fit.
        samples: Draws per estimate, n.
        settings: Precision and budget.
        execution: Device, dtype, mode and seeds.

    Returns:
        Seconds per estimate on the wall clock, on the device and of its random numbers alone; seconds of the first
        call; peak memory.
    """
    with alone(execution.device), Warm(problem, estimator, samples, settings, execution, visits=1) as warm:
        warm.first()
        warm.visit(0)
        return warm.outcome()


class Warm:
    """A cell that is prepared once and then timed in visits.

    Closing it frees its memory and restores torch's generators. `visits`: the planned number of visits.
    """

    def __init__(
        self,
        problem: Problem,
        estimator: Estimator,
        samples: int,
        settings: ThroughputSettings,
        execution: Execution,
        *,
        visits: int = VISITS,
    ) -> None:
        self.settings, self.execution, self.visits = settings, execution, visits
        self._open = ExitStack()
        self._cell = self._open.enter_context(opened(problem, estimator, samples, execution))
        self.replicates = settings.replicates or self._cell.replicates
        modes = ("eager", execution.mode)
        self._eager, self._step = (whole_step(self._cell.eager, self.replicates, mode) for mode in modes)

    @property
    def _uncaptured(self) -> TimedStep:
        """The step that a capture can take up: a step that itself replays a graph cannot be captured again."""
        return self._eager if self.execution.mode == "graph" else self._step

    def __enter__(self) -> "Warm":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def first(self) -> None:
        """Records the random numbers of a step, times its first call, and sets up the timers for `visit`."""
        seed_draws(self.execution.seed_of("time"), self.execution.device)
        with Drawn() as self._drawn:
            self._eager()
        self._first = first_call(self._step)
        device = self.execution.device
        self._before = clocks(device)
        numbers = numbers_alone(self._drawn, self._cell.eager.expanded(self.replicates), self.execution.mode)
        self._wall = Visited(wall(self._step), self.settings, numbers, planned=self.visits)
        if torch.device(device).type != "cpu":
            block, self._how = device_block(self._uncaptured, device)
            self._device = Visited(block, self.settings, planned=self.visits)
        else:
            self._device = None

    def visit(self, index: int) -> None:
        """Times one visit on the wall clock, and on an accelerator one on the device's own clock."""
        seed_draws(self.execution.seed_of(f"time {index}" if index else "time"), self.execution.device)
        self._wall.visit()
        if self._device:
            self._device.visit()

    def outcome(self) -> Outcome:
        """All rows; measures the peak memory in a separate pass."""
        timing, device = self._wall.timing(), self.execution.device
        state = clocks_in_words(self._before, clocks(device))
        rows = (
            *wall_rows(timing, self._wall.beside(), self.replicates, self._drawn, state),
            *([device_row(self._device.timing(), self.replicates, self._how)] if self._device else []),
            *first_rows(self._first, timing.seconds.value, self.execution.mode),
            memory_row(self._eager, device),
        )
        return Outcome(rows, self.replicates, timing.stop_reason)


def whole_step(gradients: Gradients, replicates: int, mode: str) -> TimedStep:
    """A step that draws, evaluates, differentiates and takes mean and variance of one chunk of replicates."""
    run = executed(lambda expanded: mean_and_spread(gradients.estimates(expanded)), mode)
    expanded = gradients.expanded(replicates)
    return lambda: run(expanded)


def numbers_alone(drawn: Drawn, expanded: Tensors, mode: str) -> TimedBlock | None:
    """A timed block of the step's random numbers, drawn as in this mode; None if the step draws nothing."""
    if not drawn.operations:
        return None
    again = executed(lambda expanded: drawn.again(), "compile" if mode == "compile" else "eager")
    again(expanded)
    return wall(lambda: again(expanded))


def wall(step: Callable[[], object]) -> TimedBlock:
    """A timed block of steps on the wall clock, by torch's Timer, which waits until the device has finished.

    Timer runs at least two untimed steps before each block, so that caches are hot.
    """
    torchs = Timer("step()", globals={"step": step}, num_threads=torch.get_num_threads())
    return lambda number: torchs.timeit(number).raw_times[0]


def first_call(step: Callable[[], object]) -> float:
    """The seconds of a step's first call."""
    began = timer()
    step()
    return timer() - began


def wall_rows(
    timing: Timing, numbers: Timing | None, replicates: int, drawn: Drawn, state: str
) -> Iterator[Measurement]:
    """The rows for the wall time of the step and of its random numbers."""
    drift = f"drift {timing.drift:+.1%}" if timing.beside else ""
    how = f"{medians(timing)}, {replicates} replicates per step"
    yield _row("seconds_per_estimate", timing, replicates, how, timing.covers, drift, state)
    if numbers:
        how = f"its {drawn.numbers / replicates:g} random numbers alone, between the blocks"
        yield _row("random_seconds_per_estimate", numbers, replicates, how, timing.covers)


def medians(timing: Timing) -> str:
    """How the value is computed from the blocks, in words."""
    visits = f"median of {timing.visits} visits' medians, " if timing.visits > 1 else "median of "
    return f"{visits}{timing.blocks} blocks"


def device_row(timing: Timing, replicates: int, how: str) -> Measurement:
    """The row for the time on the device's own clock."""
    return _row("device_seconds_per_estimate", timing, replicates, how, timing.covers)


def first_rows(first: float, usual: float, mode: str) -> Iterator[Measurement]:
    """The rows for the first call, and for its part spent on compiling or capturing."""
    yield Measurement("first_call_seconds", first, n=1, method=f"wall time, {mode}")
    if mode != "eager":
        yield Measurement("compile_seconds", max(first - usual, 0.0), n=1, method="first call minus a usual step")


def memory_row(eager: TimedStep, device: str) -> Measurement:
    """The row for the peak memory of one eager step, from a separate pass."""
    memory, how = peak_memory(eager, device)
    return Measurement("peak_memory", float(memory), n=1, method=how)


def _row(metric: str, timing: Timing, replicates: int, *method: str) -> Measurement:
    return Measurement.of(metric, timing.seconds.per(replicates), timing.blocks, "; ".join(filter(None, method)))
