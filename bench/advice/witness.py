"""Is an estimator's mean the gradient? Where nobody has worked the gradient out, a witness says.

The best witness that vouches for itself is taken, in float64 where the model can:

- exact enumeration, where q has few values;
- the leave-one-out score function, which needs nothing of f; not where the support moves with θ, nor where torch's
  density is wrong by rounding (then q offers no density);
- where there is no score function, finite differences of E f along the mean in question.

Estimates that do not vary are right if the witness agrees and either is precise or has a reason on paper beside it: a
pathwise estimator of an f that rises between draws as its slopes say (`bench.advice.segments`).

A user's f may jump where it says it is smooth; then a pathwise gradient looks quiet and is wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from bench.advice.candidate import OPEN, Candidate
from bench.advice.race import ENOUGH
from bench.advice.segments import COMPARED_PAIRS
from bench.statistics.moments import Moments
from bench.statistics.tails import MIN_OUTCOMES, unstable

FALSE_ALARM_ERRORS = 8.0
"""Standard errors that a coordinate must be off. At 25 κ estimates, which are asked for, skewness raises the chance of
a false alarm there from 1e-15 to at most 1e-8."""
DOUBTED = 4.0
"""Times the noise that the distance of a mean may be before it is doubted."""
TAIL_JUDGED_FROM = 1024
"""Estimates of a witness from which on its tail is judged."""
JUDGED_FROM = 256
"""Estimates before a mean is judged: of fewer, a rare large one may be missing in all coordinates."""
ROUNDINGS = 10.0
"""Rounding errors, of the size of |f|·|score|, that a mean may be off beside."""
EXPECTED_EVENTS = 20.0
"""An outcome that is expected so often has occurred, but for a chance of 2e-9."""
DEAF = 0.5
"""Beyond this share of the gradient's length an agreement says nothing."""


@dataclass(frozen=True)
class Testimony:
    """What a witness knows: the mean, its squared standard error, and the coordinates it cannot vouch for."""

    name: str
    mean: Float[np.ndarray, " width"]
    error: Float[np.ndarray, " width"]
    silent: Bool[np.ndarray, " width"]
    exact: bool = False


@dataclass
class Judge:
    """Disqualifies a candidate whose mean contradicts the witness.

    Args:
        witness: Exact enumeration or a score function, as a separate candidate that does not race; None where
            neither can vouch.
        rare: How often per draw the rarest outcome of each coordinate occurs, where it is known.
        biased: Whether biased estimators are welcome: nobody is disqualified then.
        slope: `slope(mean)` gives the finite difference of E f along `mean`, its standard error and the error of its
            step, or None; asked where there is no witness.
        follows: `follows()` says whether f rises between draws as its slopes say; None where that is unknown.
    """

    witness: Candidate | None
    rare: Float[np.ndarray, " width"] | None = None
    biased: bool = False
    slope: Callable[[Any], tuple[float, float, float] | None] = lambda mean: None
    follows: Callable[[], bool | None] = lambda: None
    heard: dict[Candidate, str] = field(default_factory=dict)

    def __call__(self, candidate: Candidate) -> None:
        """After a turn of the candidate."""
        if candidate.state != OPEN or candidate.moments is None or candidate.moments.count < 2:
            return
        said = self.testimony()
        if said is None and candidate.varies:
            return
        if said is None:
            candidate.trusted = bool(self._reason(candidate)) and not self._unseen(candidate, COMPARED_PAIRS).any()
            candidate.weigh(0.999)
            return
        if not candidate.varies:
            candidate.trusted = self._right(candidate, said)
            candidate.least_variance = self._least_variance(candidate, said)
            candidate.weigh(0.999)
            return
        if self.biased or not candidate.estimator.unbiased:
            return
        reason = self.contradiction(candidate, said)
        if reason:
            candidate.state = reason

    def testimony(self) -> Testimony | None:
        """What the witness knows by now; None where it cannot vouch."""
        each = self.witness
        if each is None or each.moments is None or each.moments.count < 2:
            return None
        if each.estimator.exact:
            size = _size(each)
            error = np.square(each.tolerance * size)
            return Testimony(each.name, each.moments.mean, error, np.zeros(len(size), bool), exact=True)
        distances = np.concatenate(each.squares)
        if each.nonfinite or (len(distances) >= TAIL_JUDGED_FROM and unstable(distances)):
            return None
        moments = each.moments
        return Testimony(each.name, moments.mean, moments.variance / moments.count, self._silent(each))

    def contradiction(self, candidate: Candidate, said: Testimony) -> str | None:
        """Why the candidate's mean cannot be the gradient, in a sentence; None where it may be."""
        moments = _moments(candidate)
        if moments.count < JUDGED_FROM:
            return None
        heard = ~(said.silent | self._silent(candidate))
        away = np.abs(moments.mean - said.mean)
        rounding = ROUNDINGS * candidate.tolerance * _size(candidate)
        wrong = heard & (away > FALSE_ALARM_ERRORS * np.sqrt(moments.variance / moments.count + said.error) + rounding)
        if not wrong.any():
            return None
        length = float(np.linalg.norm(said.mean))
        off = float(np.linalg.norm(away[wrong]))
        share = f"{off / length:.0%} of the gradient's length" if length else f"{off:.3g}, where the gradient is zero"
        return f"biased here: its mean is off that of {said.name} by {share}"

    def agreement(self, candidate: Candidate) -> float | None:
        """About how far its mean may be off, relative to the gradient; None without a witness.

        The debiased distance and two standard errors; NaN where the gradient is zero up to rounding.
        """
        said = self.testimony()
        if said is None:
            return None
        moments = _moments(candidate)
        noise = float((moments.variance / moments.count + said.error).sum())
        apart = float(np.square(moments.mean - said.mean).sum())
        length = float(np.linalg.norm(said.mean))
        if length <= ROUNDINGS * candidate.tolerance * float(np.linalg.norm(_size(candidate))):
            return np.nan
        return (max(apart - noise, 0.0) ** 0.5 + 2 * noise**0.5) / length

    def doubt(self, candidate: Candidate) -> str | None:
        """Why a mean that was not disqualified is doubtful all the same, in a clause; None where it is not.

        Few estimates may lack a rare large one, so that they prove nothing; an answer should not rest on them either.
        """
        said, distance = self.testimony(), self.agreement(candidate)
        if said is None or distance is None or not distance > DEAF or not candidate.estimator.unbiased or self.biased:
            return None
        moments = _moments(candidate)
        noise = float((moments.variance / moments.count + said.error).sum())
        apart = float(np.square(moments.mean - said.mean).sum())
        if apart <= DOUBTED**2 * noise:
            return None
        share = apart**0.5 / float(np.linalg.norm(said.mean))
        return f"after {moments.count} estimates the mean of {candidate.name} is {share:.0%} off that of {said.name}"

    def by_differences(self, candidate: Candidate) -> str | None:
        """Without a witness: finite differences of E f along the candidate's mean; disqualifies it where they differ.

        Returns a sentence for the answer, or None where nothing can be said.
        """
        mean = _moments(candidate).mean
        length = float(np.linalg.norm(mean))
        found = self.slope(mean / length) if length else None
        if found is None:
            return None
        value, error, step = found
        own = float(np.sqrt((_moments(candidate).variance * np.square(mean / length)).sum() / candidate.replicates))
        off, noise = abs(value - length), float(np.hypot(error, own))
        if off > FALSE_ALARM_ERRORS * noise + 2 * step:
            if not self.biased:
                candidate.state = (
                    f"biased here: finite differences of E f along its mean give {value:.3g}, and its length is "
                    f"{length:.3g}"
                )
            return None
        if 2 * noise + step > DEAF * length:
            return None
        return (
            f"Finite differences of E f along its mean agree with it to within {(off + 2 * noise + step) / length:.2g}."
        )

    def _right(self, candidate: Candidate, said: Testimony) -> bool:
        """Whether estimates that have not varied are the gradient, and do not wait for a rare outcome.

        Trust from earlier turns lasts while the mean agrees: fresh draws may be few. A reason on paper stands in for
        draws, and for coordinates and precision that the witness lacks; a witness without it must be precise where f
        does not follow its slopes.
        """
        away = np.abs(_moments(candidate).mean - said.mean)
        rounding = ROUNDINGS * candidate.tolerance * _size(candidate)
        if said.exact:
            return bool((away <= rounding + np.sqrt(said.error)).all())
        agrees = away <= FALSE_ALARM_ERRORS * np.sqrt(said.error) + rounding
        reason = self._reason(candidate)
        if reason:
            return bool((agrees | said.silent).all()) and not self._unseen(candidate, COMPARED_PAIRS).any()
        enough = candidate.replicates * candidate.samples >= ENOUGH and not self._unseen(candidate).any()
        if not (candidate.trusted or enough) or said.silent.any():
            return False
        if reason is False and not self._precise(said):
            return False
        return bool(agrees.all())

    def _reason(self, candidate: Candidate) -> bool | None:
        """Whether estimates that do not vary are the gradient by derivation; None if that is unknown."""
        return self.follows() if candidate.estimator.by_slopes and candidate.estimator.unbiased else None

    def _precise(self, said: Testimony) -> bool:
        """Whether the witness would detect a mean that is off by `DEAF` of the gradient's length."""
        return bool(2 * said.error.sum() ** 0.5 <= DEAF * np.linalg.norm(said.mean))

    def _least_variance(self, candidate: Candidate, said: Testimony) -> float:
        """What the variance is at least if the candidate is unbiased, given that R estimates have all been c.

        An outcome that has not occurred has a chance p of at most `EXPECTED_EVENTS` / R, so the variance is at least
        |g − c|² (1 − p) / p. The distance is taken `DOUBTED` standard errors smaller than it is found.
        """
        if said.silent.any():
            return 0.0
        away = np.linalg.norm(_moments(candidate).mean - said.mean)
        near = max(float(away - DOUBTED * said.error.sum() ** 0.5), 0.0)
        return near**2 * max(candidate.replicates / EXPECTED_EVENTS - 1, 0.0)

    def _silent(self, candidate: Candidate) -> Bool[np.ndarray, " width"]:
        """Coordinates that rest on too few outcomes, so that their t is not normal."""
        moments = _moments(candidate)
        silent = (moments.variance > 0) & (moments.count < MIN_OUTCOMES * moments.kurtosis)
        return silent | self._unseen(candidate)

    def _unseen(self, candidate: Candidate, draws: int = 0) -> Bool[np.ndarray, " width"]:
        """Coordinates whose rarest outcome has hardly occurred in the candidate's draws, nor in `draws` others."""
        moments = _moments(candidate)
        if self.rare is None or candidate.estimator.exact:
            return np.zeros(len(moments.mean), bool)
        return self.rare * max(candidate.samples * moments.count, draws) < MIN_OUTCOMES


def _moments(candidate: Candidate) -> Moments:
    assert candidate.moments is not None
    return candidate.moments


def _size(candidate: Candidate) -> Float[np.ndarray, " width"]:
    """How large the terms of an estimate are, per coordinate: what its rounding is relative to."""
    mean = np.abs(_moments(candidate).mean)
    largest = np.full(len(mean), mean.max(initial=0.0))
    return largest if candidate.size is None else np.maximum(largest, candidate.size)
