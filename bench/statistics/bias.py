"""Tests of zero bias: every coordinate by Hall's t, and one test along the exact gradient."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from bench.moments import Moments
from bench.statistics.block import Against
from bench.statistics.means import hall, two_sided
from bench.statistics.tails import MIN_OUTCOMES


@dataclass(frozen=True)
class ZeroBias:
    """The smallest p-value, adjusted for its coordinates and the two kinds of test, and what was not tested."""

    p: float
    untested: Bool[np.ndarray, " P"]
    where: str


def zero_bias(
    moments: Moments,
    against: Against,
    tolerance: float,
    rare: Bool[np.ndarray, " P"] | None = None,
    batches: Float[np.ndarray, "B P"] | None = None,
) -> ZeroBias:
    """Half of the level goes to the coordinates (Bonferroni), half to the test along g, which finds (1 − 1/K) g.

    No covariance is inverted, so a singular one does no harm; where the estimates do not vary, in a coordinate or
    (with `batches`, their B batch means) in a direction across coordinates, the mean must agree to `tolerance` of
    the gradient's largest entry. Twice the reference's error is taken off each deviation first. Coordinates whose
    variance rests on fewer than 25 outcomes (count/κ), and those in `rare`, are not tested: their t is not normal.
    """
    target, error = against.target, against.error
    deviation = np.maximum(np.abs(moments.mean - target) - 2 * error, 0) * np.sign(moments.mean - target)
    scale = max(np.abs(target).max(), np.abs(moments.mean).max())
    still = np.sqrt(moments.variance) <= tolerance * scale
    if rare is not None:
        still &= ~rare  # what has not come up yet looks constant
    untested = ~still & (moments.count < MIN_OUTCOMES * moments.kurtosis)
    if rare is not None:
        untested |= rare
    p = np.ones(len(target))
    p[still & (np.abs(deviation) > tolerance * scale)] = 0.0
    if batches is not None and _off_where_constant(moments, against, ~untested, tolerance * scale, batches):
        return ZeroBias(0.0, untested, "in a direction without variance")
    tested = ~still & ~untested
    sd, skewness = np.sqrt(moments.variance[tested]), moments.skewness[tested]
    p[tested] = two_sided(hall(deviation[tested], sd, skewness, moments.count))
    counted = max(int(tested.sum() + still.sum()), 1)
    smallest = min(1.0, float(p.min()) * counted)
    if len(target) == 1:
        return ZeroBias(smallest, untested, "in its only coordinate")
    directional = _along_p(against.along, against.slack, tolerance * scale)
    kinds = {"in a coordinate": smallest, "along the gradient": directional}
    where = min(kinds, key=lambda kind: kinds[kind])
    return ZeroBias(min(1.0, 2 * kinds[where]), untested, where)


def _off_where_constant(
    moments: Moments,
    against: Against,
    kept: Bool[np.ndarray, " P"],
    limit: float,
    batches: Float[np.ndarray, "B P"],
) -> bool:
    """Whether the mean differs from g outside the range of the covariance, in the coordinates `kept`.

    B batch means span the range of a covariance of a rank below B − 1; of a higher one they do not tell it, and only
    single coordinates are seen.
    """
    rows = len(batches)
    if kept.sum() < 2 or rows < 2:
        return False
    centred = batches[:, kept] - batches[:, kept].mean(0)
    _, spread, directions = np.linalg.svd(centred, full_matrices=False)
    sd = spread * (moments.count / rows / (rows - 1)) ** 0.5
    limit = max(limit, 1e-12 * float(sd.max()))  # below it the decomposition itself rounds
    seen = directions[sd > limit]
    if len(seen) >= min(rows - 1, int(kept.sum())):
        return False
    off = (moments.mean - against.target)[kept]
    error = 2 * against.error[kept]
    outside = np.abs(off - seen.T @ (seen @ off))
    return bool((outside > limit + error + np.abs(seen).T @ (np.abs(seen) @ error)).any())


def _along_p(along: Float[np.ndarray, " R"], error: float, tolerance: float) -> float:
    """The p-value of a zero mean of the projections on g."""
    mean, sd = float(along.mean()), float(along.std(ddof=1))
    shrunk = max(abs(mean) - error, 0.0) * float(np.sign(mean))
    if sd <= tolerance:
        return float(abs(shrunk) <= tolerance)
    centred = (along - mean) / sd
    if len(along) < MIN_OUTCOMES * float((centred**4).mean()):
        return 1.0
    return float(two_sided(hall(shrunk, sd, float((centred**3).mean()), len(along))))
