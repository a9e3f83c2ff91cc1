"""The positive control: a second estimator on the same problem, beside the estimates that are judged.

Estimates that miss the exact gradient are either biased or depend on an event that has not come up; the two cases look
alike. A score function with a baseline does not depend on the judged estimator and is unbiased for every f. With the
same number of draws it must show the gradient that the estimates miss. If it misses the gradient too, the event has not
come up.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from bench.statistics.batch_means import BatchMeans

UNSEEN = 3.0
"""An event of probability 3/R comes up among R replicates with a chance of 95 %."""

MISSES = 4.0
"""The control misses the exact gradient if it is off by more than this number of standard errors. Skewness does no
harm: an error of the control can only withhold a verdict."""

LARGE = 0.1
"""Fraction of ‖g‖. Where f is smooth, a smaller miss of the control points to the reference, not to f."""

ALONE = 1_000_000
"""Replicates from which *biased* is said without a control. With this number, an event of probability 1e-5 has stayed
unseen with a chance of 5e-5, and an event of probability 3e-6 with a chance of 5 %."""


@dataclass(frozen=True)
class Control:
    """Summary of control estimates of the same gradient.

    `varies`: whether the objective took different values in the draws. `batches`: B batch means, or None where q has no
    density; then only `varies` is known. `furthest`: the largest distance of a control estimate from the mean, per
    coordinate. `count`: the number of control estimates. `jumps`: whether f is not differentiable everywhere. `sharp`:
    the judged estimates may be more precise than the control, which then misses every error that it cannot see.
    """

    varies: bool
    batches: BatchMeans | None = None
    furthest: Float[np.ndarray, " P"] | None = None
    count: int = 0
    jumps: bool = True
    sharp: bool = False

    def sees(self, off: Float[np.ndarray, " P"]) -> Bool[np.ndarray, " P"]:
        """Per coordinate: whether no unseen event can explain an error of `off` in constant estimates.

        An unseen event has a probability below about 3/R. If it is no larger than the largest control estimate, it
        carries at most 3/R times that estimate; a larger error has another cause.
        """
        if not self.varies:
            return np.zeros(len(off), bool)
        if self.furthest is None:
            return np.ones(len(off), bool)
        return np.abs(off) > UNSEEN * self.furthest / max(self.count, 1)

    def misses(self, target: Float[np.ndarray, " P"], off: Float[np.ndarray, " P"], slack: float) -> bool:
        """Whether the control misses `target` in the direction of `off`, the error of the judged estimates.

        `slack`: the length by which the reference itself may be wrong.
        """
        length = float(np.linalg.norm(off))
        if self.batches is None or not length:
            return not self.varies
        along = self.batches @ (off / length) - target @ (off / length)
        error = along.std(ddof=1) / len(along) ** 0.5 if len(along) > 1 else np.inf
        if self.sharp and length <= MISSES * float(error):
            return True
        least = 1e-9 * length if self.jumps else LARGE * float(np.linalg.norm(target))
        return float(along.mean()) - slack > max(MISSES * float(error), least)


KNOWN = Control(varies=True)
"""The control for estimates that cannot hide an event: exact estimators, and noise whose law is known."""

Ask = Callable[[int], Control | None]
"""Maps R, the number of replicates, to the control of a cell; None where no control exists."""


def known_control(replicates: int) -> Control:
    """Returns the control of estimates that cannot hide an event."""
    return KNOWN


def nothing_known(replicates: int) -> None:
    """Returns None: no control exists, for example for a plain stream of numbers."""
