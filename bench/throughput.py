"""How long an estimate takes: wall time of the whole measurement step, divided by its replicates.

A step draws, evaluates, differentiates and takes the moments of one chunk of replicates, as the accuracy
measurement does. Steps run back to back in blocks with one synchronisation at each block's end (torch's Timer);
blocks are added until the 95 % interval of their *median* is narrow enough, or the time is up.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import torch
from scipy.stats import binom
from torch import Tensor
from torch.utils.benchmark import Timer

from bench.chunks import replicates_per_chunk
from bench.fitting import fitted
from bench.gradients import Gradients
from bench.memory import peak_memory
from bench.metrics import Measurement, Outcome
from bench.moments import centred_powers
from bench.problem import Problem
from bench.seeds import chunk_seed
from estimators.core import Estimator
from estimators.errors import BadInput

BLOCK_SECONDS = 0.01
"""A block is long against the clock's resolution and the synchronisation at its end."""


@dataclass(frozen=True)
class ThroughputSettings:
    """When to stop: `precision`, half-width of the 95 % interval of the median, relative; or `max_seconds`."""

    precision: float = 0.01
    max_seconds: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.precision < 1:
            raise BadInput(f"precision must be between 0 and 1, found {self.precision}")
        if not self.max_seconds > 0:
            raise BadInput(f"max_seconds must be above 0, found {self.max_seconds}")


@dataclass(frozen=True)
class Timing:
    """The median over blocks of the seconds of one step, with its 95 % interval."""

    median: float
    low: float
    high: float
    blocks: int
    stop_reason: str


def measure(
    problem: Problem,
    estimator: Estimator,
    samples: int,
    settings: ThroughputSettings,
    *,
    cell_id: str,
    seed: int,
    device: str = "cpu",
    dtype: torch.dtype = torch.float64,
    mode: str = "eager",
) -> Outcome:
    """Seconds per estimate, the first call's seconds and the peak memory; torch's generator is kept."""
    with torch.random.fork_rng(devices=[device] if device.startswith("cuda") else []):
        torch.manual_seed(chunk_seed(seed, cell_id, "fit"))
        estimator, _ = fitted(problem, estimator, samples, device=device, dtype=dtype)
        eager = Gradients(problem, estimator, samples, device=device, dtype=dtype)
        replicates = replicates_per_chunk(eager)
        gradients = eager
        if mode != "eager":
            gradients = Gradients(problem, estimator, samples, device=device, dtype=dtype, mode=mode)
        torch.manual_seed(chunk_seed(seed, cell_id, "time"))
        first = first_call(lambda: step(gradients, replicates), device)
        timer = Timer(
            "step(gradients, replicates)", globals={"step": step, "gradients": gradients, "replicates": replicates}
        )
        timing = timed(lambda number: timer.timeit(number).mean, settings)
        memory, how = peak_memory(lambda: step(eager, replicates), device)
    per = 1 / replicates
    blocks = f"median of {timing.blocks} blocks, {replicates} replicates a step"
    rows = (
        Measurement(
            "seconds_per_estimate", timing.median * per, timing.low * per, timing.high * per, timing.blocks, blocks
        ),
        Measurement("first_call_seconds", first, n=1, method=f"wall time, {mode}"),
        Measurement("peak_memory", float(memory), n=1, method=how),
    )
    return Outcome(rows, replicates, timing.stop_reason)


def step(gradients: Gradients, replicates: int) -> tuple[Tensor, ...]:
    """What the accuracy measurement does with one chunk on the device."""
    return centred_powers(gradients(replicates))


def first_call(step: Callable[[], object], device: str) -> float:
    """Seconds of the first step: start-up and compilation are in it."""
    start = time.perf_counter()
    step()
    if torch.device(device).type != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter() - start


def timed(block: Callable[[int], float], settings: ThroughputSettings) -> Timing:
    """Blocks until the median is known; `block(number)` runs so many steps and gives the seconds of one.

    The time spent is the sum of what the blocks report, so that the rule can be tested without a clock.

    >>> timed(lambda number: 0.002, ThroughputSettings()).median
    0.002
    """
    warm = block(1)
    number = max(1, ceil(BLOCK_SECONDS / max(warm, 1e-9)))
    seconds: list[float] = []
    spent = warm
    while True:
        seconds.append(block(number))
        spent += seconds[-1] * number
        median, low, high = median_interval(seconds)
        if len(seconds) >= 8 and high - low <= 2 * settings.precision * median:
            return Timing(median, low, high, len(seconds), "precision")
        if spent >= settings.max_seconds:
            return Timing(median, low, high, len(seconds), "budget")


def median_interval(values: list[float]) -> tuple[float, float, float]:
    """The median and a 95 % interval by order statistics (the whole range where fewer than six values are).

    >>> median_interval([3.0, 1.0, 2.0])
    (2.0, 1.0, 3.0)
    """
    ordered = sorted(values)
    n = len(ordered)
    below = int(binom.ppf(0.025, n, 0.5))  # P(fewer than `below` values lie under the median) ≤ 2.5 %
    low = max(below - 1, 0)
    middle = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    return middle, ordered[low], ordered[n - 1 - low]
