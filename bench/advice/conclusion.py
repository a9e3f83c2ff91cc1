"""Whether the answer is conclusive and, if not, how many seconds would do."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.advice.candidate import Candidate, score_of, times
from bench.advice.race import NO_TIME, TIE
from bench.advice.turns import FIRST_LEAST
from bench.display.terminal import rounded_up

MUST_BE_COMPARED = 0.8
"""The share of the estimators that fit which must have been compared."""
BASELINE = "reinforce"
MOST_TIMES_LONGER = 1000.0
"""Beyond so many times the seconds given, no number is named."""
MARGIN = 1.5
"""A projection is made this much longer."""


@dataclass(frozen=True)
class Conclusion:
    """`reasons`: why the answer is inconclusive, in clauses; empty where it is conclusive. `seconds`: what would do."""

    reasons: tuple[str, ...]
    seconds: float | None = None

    @property
    def conclusive(self) -> bool:
        return not self.reasons


def conclude(
    candidates: Sequence[Candidate],
    winner: Candidate,
    baseline: Candidate | None,
    seconds: float,
    elapsed: float,
    *,
    doubt: str | None = None,
) -> Conclusion:
    """Judged after the fresh draws, when `elapsed` of `seconds` had passed; `doubt`: why the winner may be biased."""
    reasons, factors = ([doubt], [4.0]) if doubt else ([], [])
    names = {each.name for each in candidates}
    untried = names - compared_names(candidates)
    if len(names) - len(untried) < MUST_BE_COMPARED * len(names):
        reasons.append(f"only {len(names) - len(untried)} of the {len(names)} estimators that fit were compared")
        factors.append(len(names) / max(len(names) - len(untried), 1) * max(elapsed / seconds, 1.0))
    own = score_of(winner)
    if own.gate:
        reasons.append(f"of {winner.name}, {own.gate}")
        factors.append(4.0)
    still = [each.name for each in candidates if each.waits_for_trust and each.estimator.unbiased]
    if still and own.variance.value:
        reasons.append(f"the estimates of {still[0]} have not varied so far, and it is not ruled out")
        factors.append(4.0)
    if baseline is not None and baseline is not winner and baseline.score is not None:
        apart = times(baseline, winner)
        if winner.name != BASELINE and apart.low <= 1 <= apart.high and own.variance.value:
            reasons.append(f"{winner.name} is not told apart from plain {BASELINE}")
            error = float(np.log(apart.high / apart.low)) / 2 if apart.low > 0 else np.inf
            away = max(abs(float(np.log(apart.value))), np.log1p(TIE))
            factors.append((error / away) ** 2 if np.isfinite(error) else MOST_TIMES_LONGER)
    if not reasons:
        return Conclusion(())
    factor = MARGIN * max(factors)
    return Conclusion(tuple(reasons), rounded_up(factor * seconds, unit=1.0) if factor < MOST_TIMES_LONGER else None)


def compared_names(candidates: Sequence[Candidate]) -> set[str]:
    """Returns the estimators that were measured at some n or cannot run; those skipped for lack of time are not."""
    return {
        each.name
        for each in candidates
        if (each.score and each.replicates >= min(FIRST_LEAST, 2)) or (not each.sound and not waiting(each))
    }


def waiting(candidate: Candidate) -> bool:
    """Whether only time kept a candidate from being measured."""
    return candidate.state.startswith((NO_TIME, TOO_SLOW))


TOO_SLOW = "not tried: one step takes"
