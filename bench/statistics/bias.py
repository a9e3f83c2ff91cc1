"""Tests of zero bias: Hall's t in every coordinate, and one test along the exact gradient."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from bench.statistics.batch_means import BatchMeans
from bench.statistics.block import Against, magnitude
from bench.statistics.control import Ask, Control, known_control
from bench.statistics.means import hall, third_and_fourth, two_sided
from bench.statistics.moments import Moments
from bench.statistics.tails import MIN_OUTCOMES


@dataclass(frozen=True)
class ZeroBias:
    """The result of the tests of zero bias.

    `p`: the smallest p-value, adjusted for the number of coordinates and for the two kinds of test. `untested`: mask of
    the coordinates that were not tested. `where`: the test with the smallest p-value, in words. `constant`: mask of the
    coordinates that do not vary and differ from g, but that an unseen event may move; they count as untested. `worst`:
    index of the coordinate with the largest error.
    """

    p: float
    untested: Bool[np.ndarray, " P"]
    where: str
    constant: Bool[np.ndarray, " P"]
    worst: int


def zero_bias(
    moments: Moments,
    against: Against,
    tolerance: float,
    rare: Bool[np.ndarray, " P"] | None = None,
    batches: BatchMeans | None = None,
    *,
    control: Ask = known_control,
) -> ZeroBias:
    """Tests whether E ĝ = g.

    Half of the level goes to the coordinates (Bonferroni), half to the test along g, which detects a shrunken mean such
    as (1 − 1/K) g. No covariance is inverted, so a singular covariance does no harm.

    Where the estimates do not vary, the mean must agree with g up to rounding: `tolerance` times the largest of the
    gradient, the mean and |f| · |score|. If it does not agree, `control` tells whether an unseen event may be the
    cause; if it may, the coordinate is not tested. Twice the reference's error is subtracted from each deviation first.
    Coordinates whose variance rests on fewer than 25 outcomes (count/κ) are not tested: their t is not normal.

    Args:
        moments: Moments of the estimates.
        against: The exact gradient and its error.
        tolerance: Relative rounding error of an estimate.
        rare: Coordinates that rest on too few discrete outcomes; they are not tested.
        batches: B batch means of the estimates. With them, directions across coordinates without variance are
            tested too.
        control: What else is known of these draws.

    Returns:
        The adjusted p-value and what was not tested.
    """
    target, error = against.target, against.error
    deviation = np.maximum(np.abs(moments.mean - target) - 2 * error, 0) * np.sign(moments.mean - target)
    rounding = tolerance * magnitude(moments.mean, against)
    still = np.sqrt(moments.variance) <= rounding
    if rare is not None:
        still &= ~rare  # an outcome that has not come up yet makes a coordinate look constant
    wrong = still & (np.abs(deviation) > rounding)
    shown = control(moments.count) if wrong.any() else None
    constant = wrong if shown is None or not shown.varies else wrong & False
    untested = constant | (~still & (moments.count < MIN_OUTCOMES * moments.kurtosis))
    if rare is not None:
        untested |= rare
    p = np.ones(len(target))
    if shown is not None:
        p[wrong & shown.sees(deviation)] = 0.0
    tested = ~still & ~untested
    sd, skewness = np.sqrt(moments.variance[tested]), moments.skewness[tested]
    p[tested] = two_sided(hall(deviation[tested], sd, skewness, moments.count))
    worst = furthest(deviation, moments, p)

    def found(p: float, where: str) -> ZeroBias:
        return ZeroBias(min(1.0, p), untested, where, constant, worst)

    if batches is not None:
        outside = _off_where_constant(moments, against, ~untested, rounding, batches)
        if outside is not None and sees(control(moments.count), outside):
            return found(0.0, "in a direction without variance")
    smallest = min(1.0, float(p.min()) * max(int((tested | still & ~constant).sum()), 1))
    if len(target) == 1:
        return found(smallest, "in its only coordinate")
    rounded = tolerance * float(np.linalg.norm(magnitude(moments.mean, against)))
    directional = _along_p(against.along - unheard(moments, against, rare, constant), against.slack, rounded)
    kinds = {"in a coordinate": smallest, "along the gradient": directional}
    where = min(kinds, key=lambda kind: kinds[kind])
    return found(2 * kinds[where], where)


def sees(control: Control | None, outside: Float[np.ndarray, " P"]) -> bool:
    """Whether the control confirms an error in the direction `outside`: in every coordinate that is large there."""
    large = np.abs(outside) >= 0.5 * np.abs(outside).max()
    return control is not None and bool(control.sees(outside)[large].all())


def unheard(
    moments: Moments, against: Against, rare: Bool[np.ndarray, " P"] | None, constant: Bool[np.ndarray, " P"]
) -> float:
    """The contribution of the coordinates that cannot be judged (`constant` and `rare`) to ⟨mean − g, g⟩/‖g‖."""
    out = constant if rare is None else constant | rare
    length = against.length
    return float((moments.mean - against.target)[out] @ against.target[out]) / length if length else 0.0


def furthest(deviation: Float[np.ndarray, " P"], moments: Moments, p: Float[np.ndarray, " P"]) -> int:
    """Index of the largest |deviation| less four standard errors; of the smallest p where none exceeds them."""
    shown = np.abs(deviation) - 4 * np.sqrt(moments.variance / moments.count)
    return int(shown.argmax()) if shown.max() > 0 else int(p.argmin())


def _off_where_constant(
    moments: Moments,
    against: Against,
    kept: Bool[np.ndarray, " P"],
    limit: Float[np.ndarray, " P"],
    batches: BatchMeans,
) -> Float[np.ndarray, " P"] | None:
    """The part of the mean's error outside the range of the covariance, in the coordinates `kept`; None where zero.

    B batch means span the covariance's range only if its rank is below B − 1. Returns None at a higher rank: then only
    single coordinates are tested.
    """
    rows = len(batches)
    if kept.sum() < 2 or rows < 2:
        return None
    left, spread = batches.spectrum(kept)
    sd = spread * (moments.count / rows / (rows - 1)) ** 0.5
    rounding = np.maximum(limit[kept], 1e-12 * float(sd.max()))  # the rounding of the decomposition itself
    large = sd > rounding.max()
    if large.sum() >= min(rows - 1, int(kept.sum())):
        return None
    seen = batches.directions(kept, left[:, large], spread[large])
    off = (moments.mean - against.target)[kept]
    error = 2 * against.error[kept]
    outside = off - seen.T @ (seen @ off)
    allowed = rounding + error + np.abs(seen).T @ (np.abs(seen) @ error)
    if not (np.abs(outside) > allowed).any():
        return None
    whole = np.zeros(len(kept))
    whole[kept] = outside
    return whole


def _along_p(along: Float[np.ndarray, " R"], error: float, tolerance: float) -> float:
    """The p-value of the hypothesis that the projections on g have mean zero."""
    mean, sd = float(along.mean()), float(along.std(ddof=1))
    shrunk = max(abs(mean) - error, 0.0) * float(np.sign(mean))
    if sd <= tolerance:
        return float(abs(shrunk) <= tolerance)
    third, fourth = third_and_fourth((along - mean) / sd)
    if len(along) < MIN_OUTCOMES * fourth:
        return 1.0
    return float(two_sided(hall(shrunk, sd, third, len(along))))
