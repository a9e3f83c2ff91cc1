"""The length by which a bias is divided: that of the exact gradient, or another one where it is zero or nearly zero."""

from dataclasses import dataclass

import numpy as np

from bench.statistics.block import Block

NEARLY = 1e-3
"""A gradient shorter than this fraction of the gradient at the start of training counts as nearly zero: a bias relative
to it is a number without a meaning for training."""

TYPICAL_LENGTH = "root mean square length of an estimate"
START_LENGTH = "length of the gradient at the point 'start'"


@dataclass(frozen=True)
class Scale:
    """A length in the place of ‖g‖, used where ‖g‖ is zero or below `nearly` times this length; `words` name it."""

    length: float
    words: str
    nearly: float = 0.0

    @classmethod
    def at_start(cls, length: float) -> "Scale":
        """The gradient's length at the start of training."""
        return cls(length, START_LENGTH, NEARLY)


@dataclass(frozen=True)
class Yardstick:
    """The unit of a bias: ‖g‖, or the `scale` in its place. `zero`: whether g is zero, or only nearly zero."""

    length: float
    scale: str = ""
    zero: bool = True

    def of(self, bias: str) -> str:
        """A clause about a bias in units of the yardstick.

        >>> Yardstick(2.0).of("is below 0.01")
        'the relative bias is below 0.01'
        """
        if not self.scale:
            return f"the relative bias {bias}"
        return f"the exact gradient is {'' if self.zero else 'nearly '}zero; the bias {bias} times the {self.scale}"


def yardstick(block: Block, scale: Scale | None, tolerance: float) -> Yardstick:
    """‖g‖; where g is zero or nearly zero, `scale` if there is one.

    Default where g is zero: the typical norm of an estimate, or of a score function where the estimates are constant.
    """
    zero, length = block.exact_is_zero, block.exact.length
    if scale and (zero or length < scale.nearly * scale.length):
        return Yardstick(scale.length, scale.words, zero)
    if not zero:
        return Yardstick(length)
    size = 0.0 if block.varies(tolerance) else float(np.linalg.norm(block.exact.size))
    return Yardstick(max(size, block.typical), TYPICAL_LENGTH)
