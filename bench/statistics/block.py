"""The statistics of one block of parameters: every interval of the table, from what the replicates left."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float

from bench.statistics.interval import Interval
from bench.statistics.means import mean_interval
from bench.statistics.moments import Moments
from bench.statistics.norms import NoisyLength, trace_of_square
from bench.statistics.tails import largest_share
from bench.statistics.variances import largest_interval, relative_error, trace_error


@dataclass(frozen=True)
class Against:
    """The exact gradient g, a standard error (or a bound) of each coordinate, and each replicate's errors.

    `along` is each replicate's ⟨ĝ − g, g⟩/‖g‖ and `squared` its ‖ĝ − g‖². `size`: how large the terms are that an
    estimate is made of, |f| · |score|, per coordinate; its rounding errs by their size and not by the gradient's.
    """

    target: Float[np.ndarray, " P"]
    error: Float[np.ndarray, " P"]
    along: Float[np.ndarray, " R"]
    squared: Float[np.ndarray, " R"]
    size: Float[np.ndarray, " P"]

    @property
    def length(self) -> float:
        """‖g‖."""
        return float(np.linalg.norm(self.target))

    @property
    def slack(self) -> float:
        """Twice the length of the reference's error: what it may move a norm by."""
        return 2 * float(np.linalg.norm(self.error))

    def last(self, rows: int) -> "Against":
        """Of the last replicates alone."""
        return replace(self, along=self.along[-rows:], squared=self.squared[-rows:])


@dataclass(frozen=True)
class Block:
    """R estimates of a block of P parameters, summed up.

    `fresh` are the moments of the last stage alone. `batches`: B batch means; `batch_spread`: each batch's mean
    squared distance to the centre; `distances`: each replicate's. `groups`: the means of G groups of whole chunks, of
    `group_counts` replicates each. `chunks`: how many there were; `within`: the sum of their centred squares.
    `against` is None without an exact gradient.
    """

    moments: Moments
    fresh: Moments
    batches: Float[np.ndarray, "B P"]
    batch_spread: Float[np.ndarray, " B"]
    distances: Float[np.ndarray, " R"]
    groups: Float[np.ndarray, "G P"]
    group_counts: Float[np.ndarray, " G"]
    chunks: int
    within: Float[np.ndarray, " P"]
    against: Against | None = None

    @property
    def exact(self) -> Against:
        """The comparison with the exact gradient, where there is one."""
        if self.against is None:
            raise ValueError("there is no exact gradient to compare with")
        return self.against

    @property
    def count(self) -> int:
        return self.moments.count

    @cached_property
    def trace(self) -> float:
        """tr Σ of one replicate."""
        return float(self.moments.variance.sum())

    @cached_property
    def trace_of_square(self) -> float:
        """tr Σ² of one replicate."""
        centred = self.batches - self.batches.mean(0)
        return trace_of_square(centred @ centred.T, self.trace, self.batches.shape[1])

    @cached_property
    def magnitude(self) -> Float[np.ndarray, " P"]:
        """What the rounding of each coordinate is relative to: the largest of the gradient, the mean and |f| · |score|.

        A gradient's small coordinates are sums of large terms, so its largest coordinate counts for all.
        """
        return magnitude(self.moments.mean, self.against)

    def varies(self, tolerance: float) -> bool:
        """Whether the estimates vary by more than rounding."""
        vectors = [self.moments.mean, *([self.against.target, self.against.size] if self.against else [])]
        return self.trace**0.5 > tolerance * max(float(np.linalg.norm(vector)) for vector in vectors)

    @property
    def typical(self) -> float:
        """The root mean square length of an estimate."""
        mean = self.moments.mean
        return float(self.trace + mean @ mean) ** 0.5

    @property
    def exact_is_zero(self) -> bool:
        """Whether the exact gradient is zero: up to float64's rounding, or within its own error."""
        largest = max(self.typical, float(np.linalg.norm(self.exact.size)))
        return self.exact.length <= max(1e-12 * largest, self.exact.slack)

    def noisy(
        self, vector: Float[np.ndarray, " P"], influence: Float[np.ndarray, " B"], scale: float = 1.0
    ) -> NoisyLength:
        """The length of `vector`, a mean over the replicates divided by `scale`.

        `influence`: each batch's share in that length, in its first order; its variance over batches is `along`.
        """
        n = self.count
        batches = len(influence)
        trace, square = self.trace / n / scale**2, self.trace_of_square / n**2 / scale**4
        along = float(influence.var(ddof=1) / batches) if batches > 1 else trace
        return NoisyLength(float(vector @ vector) / scale**2, trace, square, along, max(batches - 1, 1))

    def deviation(self) -> NoisyLength:
        """‖E ĝ − g‖."""
        error = self.moments.mean - self.exact.target
        return self.noisy(error, self.batches @ unit_vector(error))

    def bias(self) -> Interval:
        """‖E ĝ − g‖, debiased; the reference's own error widens it."""
        interval = self.deviation().interval()
        widened = interval.widened(self.exact.slack)
        return Interval(widened.value, max(widened.low, 0.0), widened.high)

    def scale(self) -> Interval | None:
        """⟨E ĝ, g⟩/‖g‖²."""
        length = self.exact.length
        if not length:
            return None
        relative = mean_interval(self.exact.along).scaled(1 / length)
        widened = relative.widened(self.exact.slack / length)
        return widened.shifted(1.0)

    def cosine(self) -> Interval | None:
        """Of E ĝ and g, from the tangent: the length across g divided by the length along it."""
        if not self.exact.length:
            return None
        g = unit_vector(self.exact.target)
        along = float(self.moments.mean @ g)
        across = self.moments.mean - along * g
        batches = self.batches @ g
        if abs(along) <= 4 * batches.std(ddof=1) / len(batches) ** 0.5:
            return Interval(cosine_of(float(np.linalg.norm(across)), along), -1.0, 1.0)
        tangent = float(np.linalg.norm(across)) / along
        influence = (self.batches @ unit_vector(across) - tangent * (batches - along)) / abs(along)
        angle = self.noisy(across, influence, abs(along)).interval().widened(self.exact.slack / self.exact.length)
        ends = (cosine_of(t, float(np.sign(along))) for t in (max(angle.low, 0.0), angle.high))
        return Interval(cosine_of(angle.value, float(np.sign(along))), *sorted(ends))

    def variance_error(self) -> float:
        """The relative standard error of the variance."""
        return trace_error(self.distances, self.trace, self.trace_of_square)

    def variance(self) -> Interval:
        """tr Σ."""
        if not self.trace:
            return Interval.exact(0.0)
        return Interval.on_log_scale(self.trace, self.variance_error())

    def variance_max(self) -> Interval:
        """The largest diagonal entry of Σ."""
        error = relative_error(self.moments.kurtosis, self.count) * np.sqrt(1 + self.moments.largest_share)
        return largest_interval(self.moments.variance, error)

    def mse(self) -> Interval:
        """E ‖ĝ − g‖²."""
        squared = self.exact.squared
        mean = float(squared.mean())
        spread = float(squared.std(ddof=1)) * ((1 + largest_share(squared)) / self.count) ** 0.5
        second_order = 2 * self.trace_of_square / self.count**2
        return (
            Interval.on_log_scale(mean, float(np.sqrt(spread**2 + second_order)) / mean)
            if mean
            else Interval.exact(0.0)
        )

    def snr(self) -> Interval:
        """‖E ĝ‖/√tr Σ; its numerator and its denominator vary together."""
        mean, sd = self.moments.mean, self.trace**0.5
        length = float(np.linalg.norm(mean))
        spread = self.batch_spread - self.batch_spread.mean()
        influence = self.batches @ unit_vector(mean) / sd - length * spread / (2 * sd**3)
        heavier = (1 + largest_share(self.distances)) ** 0.5
        return self.noisy(mean, heavier * influence, sd).interval()


def magnitude(mean: Float[np.ndarray, " P"], against: Against | None) -> Float[np.ndarray, " P"]:
    """The scale of rounding per coordinate, see `Block.magnitude`."""
    largest = float(np.abs(mean).max())
    if against is None:
        return np.full(len(mean), largest)
    return np.maximum(max(largest, float(np.abs(against.target).max())), against.size)


def unit_vector(vector: Float[np.ndarray, " P"]) -> Float[np.ndarray, " P"]:
    """The vector at length 1; zero stays zero."""
    length = np.linalg.norm(vector)
    return vector / length if length > 0 else vector


def cosine_of(across: float, along: float) -> float:
    """Of the angle whose sides are these."""
    return float(along / np.hypot(across, along)) if along else 0.0
