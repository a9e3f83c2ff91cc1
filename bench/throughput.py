"""How long an estimate takes: wall time of the whole measurement step, divided by its replicates.

A step draws, evaluates, differentiates and takes the mean and variance of one chunk of replicates, in the cell's
mode. Steps run back to back in blocks with one synchronisation at each block's end: that is what a training loop
pays, launches included. Caches are hot. Between the blocks the step's random numbers are timed alone, which no
arrangement can save and which show whether the machine drifted. On an accelerator the device's own time is measured
too. Memory is measured in a pass of its own; the first call stands apart.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.utils.benchmark import Timer, timer

from bench.alone import alone
from bench.clocks import clocks, in_words
from bench.device_time import device_block
from bench.distributions.base import Tensors
from bench.drawn import Drawn
from bench.gradients import Gradients
from bench.memory import peak_memory
from bench.metrics import Measurement, Outcome
from bench.modes import executed
from bench.moments import mean_and_spread
from bench.opening import Execution, opened
from bench.problem import Problem
from bench.timing import Block, ThroughputSettings, Timing, median_interval, timed
from estimators.core import Estimator

Step = Callable[[], tuple[Tensor, ...]]


def measure(
    problem: Problem, estimator: Estimator, samples: int, settings: ThroughputSettings, execution: Execution
) -> Outcome:
    """Seconds per estimate, on the wall, on the device and of its random numbers alone; those of the first call; the
    peak memory. Torch's generators are kept."""
    with opened(problem, estimator, samples, execution) as cell, alone(execution.device):
        replicates = settings.replicates or cell.replicates
        eager, step = (whole_step(cell.eager, replicates, mode) for mode in ("eager", execution.mode))
        torch.manual_seed(execution.seed_of("time"))
        with Drawn() as drawn:
            eager()
        first = first_call(step)
        before = clocks(execution.device)
        timing = timed(wall(step), settings, numbers_alone(drawn, cell.eager.expanded(replicates), execution.mode))
        state = in_words(before, clocks(execution.device))
        rows = (
            *wall_rows(timing, replicates, drawn, state),
            *device_rows(step, settings, replicates, execution.device),
            *first_rows(first, timing.median, execution.mode),
            memory_row(eager, execution.device),
        )
    return Outcome(rows, replicates, timing.stop_reason)


def whole_step(gradients: Gradients, replicates: int, mode: str) -> Step:
    """Draw, evaluate, differentiate, take the mean and the variance of one chunk; its parameters are laid out once."""
    run = executed(lambda expanded: mean_and_spread(gradients.estimates(expanded)), mode)
    expanded = gradients.expanded(replicates)
    return lambda: run(expanded)


def numbers_alone(drawn: Drawn, expanded: Tensors, mode: str) -> Block | None:
    """The step's random numbers, drawn as the mode draws them; None where there are none."""
    if not drawn.operations:
        return None
    again = executed(lambda expanded: drawn.again(), "compile" if mode == "compile" else "eager")
    again(expanded)
    return wall(lambda: again(expanded))


def wall(step: Callable[[], object]) -> Block:
    """So many steps back to back on the wall clock, which torch's Timer reads when the device has finished.

    It runs two steps and more before each block, which are not timed: the caches are hot again.
    """
    torchs = Timer("step()", globals={"step": step}, num_threads=torch.get_num_threads())
    return lambda number: torchs.timeit(number).raw_times[0]


def first_call(step: Callable[[], object]) -> float:
    """The seconds of a step that has never run."""
    began = timer()
    step()
    return timer() - began


def wall_rows(timing: Timing, replicates: int, drawn: Drawn, state: str) -> Iterator[Measurement]:
    """The step's own time, and that of its random numbers."""
    how = f"median of {timing.blocks} blocks, {replicates} replicates a step"
    drift = f"drift {timing.drift:+.1%}" if timing.beside else ""
    yield _row("seconds_per_estimate", timing, replicates, "; ".join(filter(None, (how, drift, state))))
    if timing.beside:
        median, low, high = median_interval(timing.beside)
        alone_ = Timing(median, low, high, len(timing.beside), "")
        how = f"its {drawn.numbers / replicates:g} random numbers alone, between the blocks"
        yield _row("random_seconds_per_estimate", alone_, replicates, how)


def device_rows(step: Step, settings: ThroughputSettings, replicates: int, device: str) -> Iterator[Measurement]:
    """The device's own time; none on a CPU, whose wall time it would be."""
    if torch.device(device).type == "cpu":
        return
    block, how = device_block(step, device)
    yield _row("device_seconds_per_estimate", timed(block, settings), replicates, how)


def first_rows(first: float, usual: float, mode: str) -> Iterator[Measurement]:
    """The first call, and what of it went into compiling or capturing."""
    yield Measurement("first_call_seconds", first, n=1, method=f"wall time, {mode}")
    if mode != "eager":
        yield Measurement("compile_seconds", max(first - usual, 0.0), n=1, method="first call less a usual step")


def memory_row(eager: Step, device: str) -> Measurement:
    """The peak of one eager step, in a pass of its own."""
    memory, how = peak_memory(eager, device)
    return Measurement("peak_memory", float(memory), n=1, method=how)


def _row(metric: str, timing: Timing, replicates: int, method: str) -> Measurement:
    value, low, high = (seconds / replicates for seconds in (timing.median, timing.low, timing.high))
    return Measurement(metric, value, low, high, timing.blocks, method)
