"""The statistics of one block of parameters: every interval of the table, from the summaries of the replicates."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float

from bench.statistics.batch_means import BatchMeans
from bench.statistics.groups import Groups
from bench.statistics.interval import Interval
from bench.statistics.means import mean_interval
from bench.statistics.moments import Moments
from bench.statistics.norms import NoisyLength, trace_of_square
from bench.statistics.tails import largest_share
from bench.statistics.variances import largest_interval, relative_error, trace_error


@dataclass(frozen=True)
class Against:
    """The exact gradient, and the errors of R replicates relative to it.

    `target`: the exact gradient g. `error`: a standard error (or a bound) of each coordinate of g. `along`: each
    replicate's ⟨ĝ − g, g⟩/‖g‖. `squared`: each replicate's ‖ĝ − g‖². `size`: the size |f| · |score| of the terms that
    an estimate is summed from, per coordinate; rounding errors scale with these terms, not with the gradient.
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
        """Twice the norm of the reference's error: the most by which it may change a norm."""
        return 2 * float(np.linalg.norm(self.error))

    def last(self, rows: int) -> "Against":
        """The same comparison, restricted to the last `rows` replicates."""
        return replace(self, along=self.along[-rows:], squared=self.squared[-rows:])


@dataclass(frozen=True)
class Block:
    """Summary of R estimates of a block of P parameters.

    `moments`: moments of all replicates; `fresh`: of the last stage alone. `batches`: B batch means; `batch_spread`:
    each batch's mean squared distance to the centre; `distances`: each replicate's squared distance. `groups`: groups
    of whole chunks; `within`: the sum of the squares centred in each chunk. `against`: the comparison with the exact
    gradient, or None without an exact gradient.

    Large arrays are those of the stream that made it, so it is valid until that stream gets its next chunk.
    """

    moments: Moments
    fresh: Moments
    batches: BatchMeans
    batch_spread: Float[np.ndarray, " B"]
    distances: Float[np.ndarray, " R"]
    groups: Groups
    within: Float[np.ndarray, " P"]
    against: Against | None = None

    @property
    def exact(self) -> Against:
        """The comparison with the exact gradient. Raises ValueError without an exact gradient."""
        if self.against is None:
            raise ValueError("there is no exact gradient to compare with")
        return self.against

    @property
    def count(self) -> int:
        """The number of replicates, R."""
        return self.moments.count

    @cached_property
    def trace(self) -> float:
        """tr Σ, with Σ the covariance of one replicate."""
        return float(self.moments.variance.sum())

    @cached_property
    def trace_of_square(self) -> float:
        """tr Σ², with Σ the covariance of one replicate."""
        return trace_of_square(self.batches.gram(), self.trace, self.batches.dim)

    @cached_property
    def magnitude(self) -> Float[np.ndarray, " P"]:
        """The scale of each coordinate's rounding error: the largest of the gradient, the mean and |f| · |score|.

        Small coordinates of a gradient are sums of large terms, so its largest coordinate sets the scale of all.
        """
        return magnitude(self.moments.mean, self.against)

    def varies(self, tolerance: float) -> bool:
        """Whether the estimates vary by more than rounding."""
        vectors = [self.moments.mean, *([self.against.target, self.against.size] if self.against else [])]
        return self.trace**0.5 > tolerance * max(float(np.linalg.norm(vector)) for vector in vectors)

    @property
    def typical(self) -> float:
        """The root mean square norm of an estimate."""
        mean = self.moments.mean
        return float(self.trace + mean @ mean) ** 0.5

    @property
    def exact_is_zero(self) -> bool:
        """Whether the exact gradient is zero, up to float64's rounding or its own error."""
        largest = max(self.typical, float(np.linalg.norm(self.exact.size)))
        return self.exact.length <= max(1e-12 * largest, self.exact.slack)

    def noisy(
        self, vector: Float[np.ndarray, " P"], influence: Float[np.ndarray, " B"], scale: float = 1.0
    ) -> NoisyLength:
        """The norm of `vector` / `scale` with its noise; `vector` is a mean over the replicates.

        `influence`: the first-order contribution of each batch to the norm. The variance of its mean over batches is
        `along` in `NoisyLength`.
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
        """‖E ĝ − g‖, debiased; the interval is widened by the reference's own error."""
        interval = self.deviation().interval()
        widened = interval.widened(self.exact.slack)
        return Interval(widened.value, max(widened.low, 0.0), widened.high)

    def scale(self, level: float = 0.95) -> Interval | None:
        """⟨E ĝ, g⟩/‖g‖²; None where g = 0."""
        length = self.exact.length
        if not length:
            return None
        relative = mean_interval(self.exact.along, level).scaled(1 / length)
        widened = relative.widened(self.exact.slack / length)
        return widened.shifted(1.0)

    def cosine(self) -> Interval | None:
        """The cosine of the angle between E ĝ and g; None where g = 0.

        The interval comes from the tangent: the norm of E ĝ across g divided by its length along g. The noise of the
        mean along g, 1/P of the whole where coordinates are alike, does not lengthen the part across.
        """
        if not self.exact.length:
            return None
        g = unit_vector(self.exact.target)
        along = float(self.moments.mean @ g)
        across = self.moments.mean - along * g
        batches = self.batches @ g
        if abs(along) <= 4 * batches.std(ddof=1) / len(batches) ** 0.5:
            return Interval(cosine_of(float(np.linalg.norm(across)), along), -1.0, 1.0)
        side, count = float(np.sign(along)), len(batches)
        own = self.batches @ unit_vector(across)
        off, out = (float(each.var(ddof=1)) / count for each in (batches, own))
        trace, square = max(self.trace / self.count - off, 0.0), self.trace_of_square / self.count**2 - off**2
        value = max(float(across @ across) - trace, 0.0) ** 0.5 / abs(along)
        influence = (own - value * side * (batches - along)) / abs(along)
        back = float(influence.var(ddof=1)) / count
        tangent = NoisyLength(
            float(across @ across) / along**2,
            max(trace - out, 0.0) / along**2 + back,
            max(square - out**2, 0.0) / along**4 + back**2,
            back,
            max(count - 1, 1),
        )
        found = tangent.interval().widened(self.exact.slack / self.exact.length)
        ends = (cosine_of(t, side) for t in (max(found.low, 0.0), found.high))
        return Interval(cosine_of(value, side), *sorted(ends))

    def variance_error(self) -> float:
        """The relative standard error of tr Σ."""
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
        """‖E ĝ‖/√tr Σ; the interval allows for the correlation of numerator and denominator."""
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
    """The vector divided by its norm; zero stays zero."""
    length = np.linalg.norm(vector)
    return vector / length if length > 0 else vector


def cosine_of(across: float, along: float) -> float:
    """The cosine of the angle whose tangent is `across` / `along`; 0 where `along` is 0."""
    return float(along / np.hypot(across, along)) if along else 0.0
