"""An arm of the race: one estimator at one number of samples, its measurements so far."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.stats import quantile_test
from torch import Tensor

from bench.measure.accuracy.accuracy import RELATIVE_ROUNDING
from bench.measure.estimates.batching import replicates_per_chunk
from bench.measure.estimates.fitting import fitted
from bench.measure.estimates.gradients import Gradients
from bench.measure.execution.process_state import Kept
from bench.problems.problem import Problem
from bench.provenance.seeds import chunk_seed
from bench.statistics.interval import Interval
from bench.statistics.stream import Replicates
from bench.statistics.tails import unstable
from estimators.core import Estimator

BLOCKS, BLOCK_SECONDS = 12, 0.001
"""Timed blocks of an arm in a round, and how long one lasts at least."""
FIRST = 64
"""Replicates of an arm in the first round."""


SPREAD = 8.0
"""κ − 1 is taken to be at least this: the kurtosis of few replicates is too low, and products of Normals have 9."""


@dataclass(frozen=True)
class Found:
    """An arm's numbers with their 95 % intervals, and the ends of the cost's interval that decide the race.

    `gate`: why the variance has no meaning yet, in a clause; such an arm neither leads nor drops out.
    """

    variance: Interval
    seconds: Interval
    cost: Interval
    low: float
    high: float
    replicates: int
    gate: str


@dataclass(eq=False)
class Arm:
    """One estimator at n samples, and what is known of it. `state`: open, out, or in words why it cannot run."""

    estimator: Estimator
    name: str
    samples: int
    problem: Problem
    seed: int
    fit_seconds: float = 0.0
    state: str = "open"
    seconds: list[float] = field(default_factory=list)
    found: "Found | None" = None

    @property
    def sound(self) -> bool:
        """Whether nothing speaks against it: it is in the race, or out for being slower alone."""
        return self.state in ("open", "out")

    def prepare(self, stage: str) -> "Arm":
        """Fits the estimator where it has something to tune, and sizes the chunks; `stage` names the draws."""
        theta = self.problem.theta()
        like = next(iter(theta.values()))
        torch.manual_seed(self._seed("fit"))
        untuned = Gradients(self.problem, self.estimator, self.samples, device=like.device, dtype=like.dtype)
        self.estimator, spent = fitted(untuned)
        self.fit_seconds += sum(each.value or 0.0 for each in spent if each.metric == "fit_seconds")
        self.gradients = untuned.by(self.estimator)
        self.chunk = replicates_per_chunk(self.gradients)
        self.tolerance = RELATIVE_ROUNDING.get(like.dtype, 1e-6)
        self._theta = {name: value.clone().requires_grad_() for name, value in theta.items()}
        return self.fresh(stage)

    def fresh(self, stage: str) -> "Arm":
        """Forgets what was measured; later draws are others."""
        self.kept = Replicates({"all": slice(0, self.problem.dim)}, None, None)
        self.stage, self.seconds = stage, []
        return self

    def draw(self, replicates: int) -> None:
        """So many independent estimates, at least."""
        end = self.kept.drawn + replicates
        chunk = min(self.chunk, 1 << (replicates - 1).bit_length())
        while self.kept.drawn < end:
            seed = self._seed(f"{self.stage} {self.kept.drawn}")
            torch.manual_seed(seed)
            estimates = self.gradients(chunk)
            if torch.initial_seed() != seed:
                raise RuntimeError("changes torch's seed")
            self.kept.add(estimates)

    def time(self, blocks: int) -> None:
        """So many timed blocks of training steps: q, the surrogate, its gradient in θ."""
        number = max(1, int(BLOCK_SECONDS / max(self._block(1), 1e-9)))
        self.seconds += [self._block(number) for _ in range(blocks)]

    def _block(self, number: int) -> float:
        start = time.perf_counter()
        for _ in range(number):
            self.step()
        if next(iter(self._theta.values())).device.type != "cpu":
            torch.accelerator.synchronize()
        return (time.perf_counter() - start) / number

    def step(self) -> tuple[Tensor | None, ...]:
        """What a training loop pays for one gradient."""
        q = self.problem.build(self.problem.encode(self._theta))
        loss = self.problem.reduce(self.estimator.surrogate(q, self.gradients.function, self.samples)).sum()
        return torch.autograd.grad(loss, list(self._theta.values()), allow_unused=True)

    def _seed(self, what: str) -> int:
        return chunk_seed(self.seed, f"{self.name} {self.samples}", what)

    def look(self, level: float) -> None:
        """Sums up what is known; `level` is that of the interval that decides the race."""
        cost = self.variance(level, SPREAD).times(self.step_seconds(level))
        variance, seconds = self.variance(), self.step_seconds()
        low, high = (0.0, np.inf) if self.gate else (cost.low, cost.high)
        self.found = Found(variance, seconds, variance.times(seconds), low, high, self.kept.drawn, self.gate or "")

    def release(self) -> None:
        """Lets go of what takes memory; one that was taken back and is out again has nothing left to let go of."""
        for name in ("kept", "gradients"):
            vars(self).pop(name, None)

    def variance(self, level: float = 0.95, least_spread: float = 0.0) -> Interval:
        """The trace of the covariance of one estimate; 0 where the estimates do not vary."""
        block = self.kept.block("all")
        if not block.varies(self.tolerance):
            return Interval.exact(0.0)
        error = max(block.variance_error(), (least_spread / block.count) ** 0.5)
        return Interval.on_log_scale(block.trace, error, level)

    def step_seconds(self, level: float = 0.95) -> Interval:
        """The median over blocks; the interval is by order statistics, all of them where they are too few."""
        found = quantile_test(self.seconds, p=0.5).confidence_interval(level)
        low, high = (end if np.isfinite(end) else pick(self.seconds)
                     for end, pick in ((found.low, min), (found.high, max)))  # fmt: skip
        return Interval(float(np.median(self.seconds)), float(low), float(high))

    @property
    def gate(self) -> str | None:
        """Why the variance has no meaning, in a sentence, or None. Constant at 0: what matters has not come up yet."""
        block = self.kept.block("all")
        if not block.varies(self.tolerance):
            return None if block.moments.mean.any() else "every estimate so far is zero"
        return unstable(block.distances)


def measured(arm: Arm, replicates: int) -> bool:
    """Draws and times an arm; whether its estimates are all finite, else it is out."""
    arm.draw(replicates)
    if arm.kept.nonfinite:
        arm.state = f"{arm.kept.nonfinite} of {arm.kept.drawn} estimates are NaN or infinite"
        return False
    arm.time(BLOCKS)
    return True


def tried(arm: Arm, action: Callable[[], object]) -> None:
    """Does it for an arm that is in the race. One that fails, or changes what all arms share, is out with the reason;
    the others find everything as it was."""
    if not arm.sound:
        return
    theta = arm.problem.theta()
    before = {name: value.clone() for name, value in theta.items()}
    with Kept() as kept:
        try:
            action()
        except (Exception, SystemExit) as error:
            arm.state = f"fails: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    moved = [name for name, value in theta.items() if not torch.equal(value, before[name])]
    for name in moved:
        theta[name].copy_(before[name])
    if kept.changed or moved:
        arm.state = f"changes {', '.join([*kept.changed, *(f'the parameters {name!r}' for name in moved)])}"
    if not arm.sound:
        arm.release()


def cheapest(arms: Sequence[Arm]) -> list[Arm]:
    """The arm with the least cost as measured, among those with a resolved variance if there are any; none of none."""
    known = [arm for arm in arms if arm.found]
    known = [arm for arm in known if arm.found and not arm.found.gate] or known
    return [min(known, key=lambda arm: arm.found.cost.value if arm.found else np.inf)] if known else []


def rounds(arms: Sequence[Arm], deadline: float, clock: Callable[[], float] = time.monotonic) -> Iterator[int]:
    """Turns of a few chunks for each arm, interleaved so that what drifts drifts for all, until the time is up."""
    number = 0
    while any(arm.sound for arm in arms) and (number < 2 or clock() < deadline):
        for arm in arms:
            tried(arm, lambda arm=arm, most=FIRST * 2**number: measured(arm, min(arm.chunk, most)))
        number += 1
        yield number


def less(arm: Arm, winner: Arm) -> Interval:
    """cost ÷ the winner's cost."""
    return known(arm).cost.over(known(winner).cost)


def known(arm: Arm) -> Found:
    assert arm.found is not None
    return arm.found
