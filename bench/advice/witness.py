"""Is an estimate's mean that of an estimator known to be unbiased? Where there is no exact gradient to ask.

The witness is exact enumeration where q is small, else the score function (alone or leave-one-out), which needs
nothing of f. A user's f may jump where it says it is smooth; then a pathwise gradient looks quiet and is wrong.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from bench.advice.arm import Arm
from bench.measure.accuracy.rare_outcomes import rare_outcomes
from bench.statistics.moments import Moments
from bench.statistics.tails import MIN_OUTCOMES

Z = 8.0
"""Standard errors that a coordinate must be off. At 25 κ replicates, which are asked for, skewness raises the chance
of a false alarm there from 1e-15 to at most 1e-8."""


@dataclass(frozen=True)
class Witness:
    """Its name, its mean, the squared standard error of it, and the coordinates that it cannot vouch for."""

    name: str
    mean: Float[np.ndarray, " P"]
    error: Float[np.ndarray, " P"]
    silent: Bool[np.ndarray, " P"]


def witness_of(arm: Arm) -> Witness:
    """What an unbiased arm knows."""
    moments = arm.kept.total
    return Witness(arm.name, moments.mean, moments.variance / moments.count, _silent(arm, moments))


def exact_witness(arm: Arm) -> Witness:
    """What enumeration knows, by one call."""
    gradient = arm.gradients(1)[0].double().cpu().numpy()
    return Witness(arm.name, gradient, (arm.tolerance * gradient) ** 2, np.zeros(len(gradient), bool))


def _silent(arm: Arm, moments: Moments) -> Bool[np.ndarray, " P"]:
    """Coordinates that rest on too few outcomes, so that their t is not normal."""
    rare = rare_outcomes(arm.gradients, moments.count)
    silent = (moments.variance > 0) & (moments.count < MIN_OUTCOMES * moments.kurtosis)
    return silent if rare is None else silent | rare


def contradiction(arm: Arm, witness: Witness) -> str | None:
    """Why the arm's mean cannot be the witness's, in a sentence; None where it may be."""
    moments = arm.kept.total
    heard = ~(witness.silent | _silent(arm, moments))
    away = np.abs(moments.mean - witness.mean)
    rounding = arm.tolerance * max(np.abs(witness.mean).max(), np.abs(moments.mean).max())
    wrong = heard & (away > Z * np.sqrt(moments.variance / moments.count + witness.error) + 10 * rounding)
    if not wrong.any():
        return None
    apart = float(np.linalg.norm(away[wrong]) / max(np.linalg.norm(witness.mean), 1e-300))
    return f"biased here: its mean is off that of {witness.name} by {apart:.0%} of the gradient's length"


def agreement(arm: Arm, witness: Witness) -> float:
    """About how far apart the means may be, relative to the gradient: debiased distance and two standard errors."""
    moments = arm.kept.total
    noise = float((moments.variance / moments.count + witness.error).sum())
    apart = float(np.square(moments.mean - witness.mean).sum())
    length = float(np.linalg.norm(witness.mean))
    return (max(apart - noise, 0.0) ** 0.5 + 2 * noise**0.5) / length if length else float("nan")
