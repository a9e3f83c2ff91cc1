"""A candidate of the race: an estimator at a number of samples, with its measured variance and cost."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import quantile_test

from bench.advice.parcel import Parcel
from bench.advice.turns import TurnResult
from bench.statistics.interval import Interval
from bench.statistics.moments import Moments
from bench.statistics.tails import largest_share, unstable

OPEN, BEATEN = "open", "out"
"""A candidate in the race, and one that another was shown to beat; any other state is a reason in words."""
WIDEST_KURTOSIS = 9.0
"""The least kurtosis that the race assumes: that of few estimates is too low, and products of Normals have 9."""
FOR_A_TAIL = 256
"""Estimates from which on the tail of their distances is judged."""
TRAINING = 1000
"""Steps of a training over which the cost of a fit is spread."""
ZERO = Interval.exact(0.0)


class Score(NamedTuple):
    """Variance, cost of a step and their product, each with its 95 % interval, and the ends that decide the race.

    `gate`: why the variance has no meaning yet, in a clause, or empty; such a candidate does not lead, and drops out by
    `least_variance` alone.
    """

    variance: Interval
    step: Interval
    product: Interval
    low: float
    high: float
    replicates: int
    gate: str

    @property
    def key(self) -> tuple[float, float]:
        """The key of the ranking: variance × cost, or the cost alone if nothing varies."""
        return self.product.value, self.step.value


@dataclass(eq=False)
class Candidate:
    """One estimator at n samples. `size`: how large the terms are that its estimates are made of, per coordinate."""

    name: str
    estimator: Parcel
    samples: int
    tolerance: float = 1e-6
    size: Float[np.ndarray, " width"] | None = None
    state: str = OPEN
    score: Score | None = None
    fit_cost: float = 0.0
    spent: float = 0.0
    trusted: bool = False
    """Whether estimates that do not vary are known to be right, and not to wait for a rare outcome."""
    least_variance: float = 0.0
    """What the variance is at least if estimates that do not vary wait for a rare outcome."""

    moments: Moments | None = None
    squares: list[np.ndarray] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    nonfinite: int = 0

    @property
    def sound(self) -> bool:
        """Whether the candidate is not disqualified: it is in the race, or beaten."""
        return self.state in (OPEN, BEATEN)

    @property
    def replicates(self) -> int:
        return self.moments.count if self.moments else 0

    def add(self, result: TurnResult) -> None:
        """Adds the result of a turn."""
        self.spent += result.spent
        if result.fitted is not None:
            self.estimator = result.fitted
        self.fit_cost += result.fit_cost
        self.nonfinite += result.nonfinite
        self.moments = result.moments if self.moments is None else self.moments + result.moments
        self.squares.append(result.squares)
        self.costs += result.costs.tolist()

    def weigh(self, level: float) -> None:
        """Computes the score; `level` is that of the interval that decides the race."""
        step = step_cost(self.costs, self.fit_cost)
        wide = self.variance_interval(level, WIDEST_KURTOSIS).times(step_cost(self.costs, self.fit_cost, level))
        variance = self.variance_interval()
        gate = self.gate or ""
        low, high = (self.least_variance * step.low, np.inf) if gate else (wide.low, wide.high)
        self.score = Score(variance, step, variance.times(step), low, high, self.replicates, gate)

    @property
    def varies(self) -> bool:
        """Whether the estimates vary by more than rounding."""
        assert self.moments is not None
        trace = float(self.moments.variance.sum()) if self.moments.count > 1 else 0.0
        vectors = [self.moments.mean, *([self.size] if self.size is not None else [])]
        return trace**0.5 > self.tolerance * max(float(np.linalg.norm(vector)) for vector in vectors)

    @property
    def gate(self) -> str | None:
        """Why the variance has no meaning yet, in a clause, or None."""
        if not self.varies:
            return None if self.trusted or self.estimator.exact else "its estimates have not varied so far"
        distances = np.concatenate(self.squares)
        return unstable(distances) if len(distances) >= FOR_A_TAIL else None

    @property
    def waits_for_trust(self) -> bool:
        """Whether its estimates have not varied, and nothing vouches for them so far: it may be without variance."""
        return self.state == OPEN and self.score is not None and not self.varies and bool(self.gate)

    def variance_interval(self, level: float = 0.95, least_kurtosis: float = 1.0) -> Interval:
        """The trace of the covariance of one estimate; 0 where the estimates do not vary."""
        if not self.varies:
            return ZERO
        distances = np.concatenate(self.squares)
        count, trace = len(distances), float(distances.mean())
        if not trace:
            return ZERO
        spread = (1 + largest_share(distances)) * float(distances.var(ddof=1)) / trace**2 if count > 1 else np.inf
        error = (max(spread, least_kurtosis - 1) / count + 2 / (count * max(count - 1, 1))) ** 0.5
        return Interval.on_log_scale(trace, error, level)


def step_cost(costs: Sequence[float], fit_cost: float = 0.0, level: float = 0.95) -> Interval:
    """The median cost of a step and its interval by order statistics; all of them where they are too few.

    The cost of a fit is spread over `TRAINING` steps.
    """
    found = quantile_test(costs, p=0.5).confidence_interval(level)
    low, high = (end if np.isfinite(end) else pick(costs)
                 for end, pick in ((found.low, min), (found.high, max)))  # fmt: skip
    return Interval(*(float(each) + fit_cost / TRAINING for each in (np.median(costs), low, high)))


def score_of(candidate: Candidate) -> Score:
    """The score of a candidate that has one."""
    assert candidate.score is not None
    return candidate.score


def times(candidate: Candidate, winner: Candidate) -> Interval:
    """Its variance × cost ÷ the winner's."""
    return score_of(candidate).product.over(score_of(winner).product)


def cheapest(candidates: Sequence[Candidate]) -> Candidate | None:
    """Returns the candidate with the least measured variance × cost, if possible one whose variance has a meaning."""
    scored = [each for each in candidates if each.score]
    scored = [each for each in scored if each.score and not each.score.gate] or scored
    return min(scored, key=lambda each: score_of(each).key, default=None)
