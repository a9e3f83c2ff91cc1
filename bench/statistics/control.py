"""What the draws of a cell show of the exact gradient: a positive control beside the estimates that are judged.

Estimates that miss the exact gradient are biased, or rest on an event that has not come up: the two look alike. A
score function with a baseline knows nothing of the estimator and is unbiased whatever f is. In as many draws it must
show the gradient that the estimates miss; where it misses the gradient as well, the event has not come up.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

UNSEEN = 3.0
"""An event of probability 3/R comes up among R replicates with a chance of 95 %."""

MISSES = 4.0
"""Standard errors that the control must be off the exact gradient. Skewness does no harm: a control that errs takes
a verdict away and gives none."""

LARGE = 0.1
"""Of the exact gradient: where f is smooth, a control that misses less than this accuses the reference, not f."""

ALONE = 1_000_000
"""Replicates from which *biased* is said without a control: an event of 1e-5 has then come up but for a chance of
5e-5, and an event of 3e-6 but for 5 %."""


@dataclass(frozen=True)
class Control:
    """Control estimates of the same gradient: their batch means, the furthest that one was from their mean, and how
    many there were. `varies`: whether the objective took different values in the draws.

    `batches` is None where q has no density: then only `varies` is known. `jumps`: f is not differentiable everywhere.
    """

    varies: bool
    batches: Float[np.ndarray, "B P"] | None = None
    furthest: Float[np.ndarray, " P"] | None = None
    count: int = 0
    jumps: bool = True

    def sees(self, off: Float[np.ndarray, " P"]) -> Bool[np.ndarray, " P"]:
        """Whether coordinates in which the estimates are constant, and wrong by `off`, are wrong whatever comes up.

        An event that is too rare to have come up (below 3/R) and no larger than the largest control estimate carries
        at most 3/R times that; a larger error needs another cause.
        """
        if not self.varies:
            return np.zeros(len(off), bool)
        if self.furthest is None:
            return np.ones(len(off), bool)
        return np.abs(off) > UNSEEN * self.furthest / max(self.count, 1)

    def misses(self, target: Float[np.ndarray, " P"], off: Float[np.ndarray, " P"], slack: float) -> bool:
        """Whether the control differs from the exact gradient in the direction of `off`, the estimates' own error."""
        length = float(np.linalg.norm(off))
        if self.batches is None or not length:
            return not self.varies
        along = (self.batches - target) @ (off / length)
        error = along.std(ddof=1) / len(along) ** 0.5 if len(along) > 1 else np.inf
        least = 1e-9 * length if self.jumps else LARGE * float(np.linalg.norm(target))
        return float(along.mean()) - slack > max(MISSES * float(error), least)


KNOWN = Control(varies=True)
"""For estimates that owe nothing to chance, and noise whose law is known: whatever they show is so."""

Ask = Callable[[int], Control | None]
"""The control of a cell after R replicates; None where nothing but the estimates themselves is known."""


def known_control(replicates: int) -> Control:
    """The control of estimates that hide no event."""
    return KNOWN


def nothing_known(replicates: int) -> None:
    """There is no control: a stream of numbers."""
