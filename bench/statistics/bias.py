"""Tests of zero bias: every coordinate by Hall's t, and one test along the exact gradient."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from bench.statistics.block import Against, magnitude
from bench.statistics.control import Ask, Control, known_control
from bench.statistics.means import hall, two_sided
from bench.statistics.moments import Moments
from bench.statistics.tails import MIN_OUTCOMES


@dataclass(frozen=True)
class ZeroBias:
    """The smallest p-value, adjusted for its coordinates and the two kinds of test, and what was not tested.

    `constant`: coordinates that do not vary, are not g, and may be moved by an event that has not come up. They are
    among the `untested`. `worst`: the coordinate that is furthest off.
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
    batches: Float[np.ndarray, "B P"] | None = None,
    *,
    control: Ask = known_control,
) -> ZeroBias:
    """Half of the level goes to the coordinates (Bonferroni), half to the test along g, which finds (1 − 1/K) g.

    No covariance is inverted, so a singular one does no harm. Where the estimates do not vary, in a coordinate or
    (with `batches`, their B batch means) in a direction across coordinates, the mean must agree with g up to rounding,
    `tolerance` times the largest of the gradient, the mean and |f| · |score|. Where it does not, the `control` tells
    whether an event that has not come up may be the cause; then nothing is said. Twice the reference's error is taken
    off each deviation first. Coordinates whose variance rests on fewer than 25 outcomes (count/κ), and those in
    `rare`, are not tested: their t is not normal.
    """
    target, error = against.target, against.error
    deviation = np.maximum(np.abs(moments.mean - target) - 2 * error, 0) * np.sign(moments.mean - target)
    rounding = tolerance * magnitude(moments.mean, against)
    still = np.sqrt(moments.variance) <= rounding
    if rare is not None:
        still &= ~rare  # what has not come up yet looks constant
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
    """Whether the control vouches for a direction across coordinates: for all that carry most of it."""
    large = np.abs(outside) >= 0.5 * np.abs(outside).max()
    return control is not None and bool(control.sees(outside)[large].all())


def unheard(
    moments: Moments, against: Against, rare: Bool[np.ndarray, " P"] | None, constant: Bool[np.ndarray, " P"]
) -> float:
    """What the coordinates of which nothing can be said add to the mean along g."""
    out = constant if rare is None else constant | rare
    length = against.length
    return float((moments.mean - against.target)[out] @ against.target[out]) / length if length else 0.0


def furthest(deviation: Float[np.ndarray, " P"], moments: Moments, p: Float[np.ndarray, " P"]) -> int:
    """The coordinate that is furthest off, by what is shown of it: four standard errors less than is measured."""
    shown = np.abs(deviation) - 4 * np.sqrt(moments.variance / moments.count)
    return int(shown.argmax()) if shown.max() > 0 else int(p.argmin())


def _off_where_constant(
    moments: Moments,
    against: Against,
    kept: Bool[np.ndarray, " P"],
    limit: Float[np.ndarray, " P"],
    batches: Float[np.ndarray, "B P"],
) -> Float[np.ndarray, " P"] | None:
    """What of the mean's error lies outside the range of the covariance, in the coordinates `kept`; None where nothing.

    B batch means span the range of a covariance of a rank below B − 1; of a higher one they do not tell it, and only
    single coordinates are seen.
    """
    rows = len(batches)
    if kept.sum() < 2 or rows < 2:
        return None
    centred = batches[:, kept] - batches[:, kept].mean(0)
    _, spread, directions = np.linalg.svd(centred, full_matrices=False)
    sd = spread * (moments.count / rows / (rows - 1)) ** 0.5
    rounding = np.maximum(limit[kept], 1e-12 * float(sd.max()))  # below it the decomposition itself rounds
    seen = directions[sd > rounding.max()]
    if len(seen) >= min(rows - 1, int(kept.sum())):
        return None
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
    """The p-value of a zero mean of the projections on g."""
    mean, sd = float(along.mean()), float(along.std(ddof=1))
    shrunk = max(abs(mean) - error, 0.0) * float(np.sign(mean))
    if sd <= tolerance:
        return float(abs(shrunk) <= tolerance)
    centred = (along - mean) / sd
    if len(along) < MIN_OUTCOMES * float((centred**4).mean()):
        return 1.0
    return float(two_sided(hall(shrunk, sd, float((centred**3).mean()), len(along))))
