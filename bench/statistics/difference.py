"""The verdict on the difference of two means, E a − E b: same, differs or unclear, with the reason.

It is judged as a bias is (`bench.statistics.verdict`), from the rows a − b + c: their mean minus c is E a − E b, and
their noise is that of both. c is a fixed vector, the mean of b in draws that are held back: it gives the test along
the gradient its direction. The unit is ‖E b‖, which is not known exactly: *same* takes the low end of its interval,
*differs* the high end, and each of the two intervals has half of the chance of an error.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import ndtri

from bench.statistics.bias import ZeroBias
from bench.statistics.block import Block, unit_vector
from bench.statistics.control import UNSEEN, Ask, known_control
from bench.statistics.dependence import dependent
from bench.statistics.interval import Interval
from bench.statistics.norms import NoisyLength
from bench.statistics.tails import unstable
from bench.statistics.verdict import EQUIVALENCE, HOPELESS, Rules, Verdict, confirmed, growth, settling, tested


def mean_length(block: Block) -> NoisyLength:
    """‖E b‖ with its noise."""
    mean = block.moments.mean
    return block.noisy(mean, block.batches @ unit_vector(mean))


def relative_difference(block: Block, length: NoisyLength, level: float = 0.95) -> Interval:
    """‖E a − E b‖ ÷ ‖E b‖; each end takes the less favourable end of ‖E b‖, so the interval is no shorter than `level`.

    The high end is infinite where ‖E b‖ is not told apart from 0, unless the difference is 0.
    """
    above, below = block.deviation().interval(level), length.interval(level)
    value, low, high = (_ratio(*pair) for pair in zip(above, (below.value, below.high, below.low), strict=True))
    return Interval(value, low, high)


def _ratio(above: float, below: float) -> float:
    """The quotient; 0 where `above` is 0, infinite where only `below` is 0."""
    if not above:
        return 0.0
    return float(above / below) if below else float("inf")


def judge_difference(
    block: Block,
    length: NoisyLength,
    rules: Rules,
    rejected_before: bool,
    *,
    control: Ask = known_control,
    name: Callable[[int], str] = "coordinate {}".format,
) -> Verdict:
    """The verdict at one look.

    Args:
        block: The statistics of the rows a − b + c against c.
        length: ‖E b‖ with its noise; see `mean_length`.
        rules: Resolution, level and number of looks.
        rejected_before: Whether the test at the previous look rejected.
        control: Returns None where an event that has not come up may explain a difference.
        name: Returns the name of a coordinate by its index.

    Returns:
        The word same, differs or unclear, its reason, the p-value, and the rows that would settle an open verdict.
    """
    test = tested(block, rules, None, control)
    p = min(1.0, test.p * rules.looks)
    varies = block.varies(rules.tolerance)
    gate = dependent(block, rules.tolerance) or (unstable(block.distances) if varies else None)
    gate = gate or _untested(block, test, rules)
    if gate:
        return Verdict("unclear", gate, p)
    ratio = relative_difference(block, length, 1 - EQUIVALENCE / rules.looks)
    rejects = p <= rules.level
    if ratio.high <= rules.resolution:
        below = f"the relative difference is below {ratio.high:.2g}" if ratio.high else "the means are equal"
        return Verdict("same", below + (f", yet {_shown(ratio, test, name)}" if rejects else ""), p)
    if rejects and ratio.low > rules.resolution and (rejected_before or not varies):
        if confirmed(block, rules, None, control):
            return _differs(block, rules, ratio, test, control=control, p=p)
        return Verdict("unclear", "a test of equal means rejects, but more estimates must confirm it", p)
    return _open(block, length, rules, p)


def _untested(block: Block, test: ZeroBias, rules: Rules) -> str | None:
    """Returns a sentence if the coordinates that were not tested carry more of c than the resolution, else None."""
    share = float(np.linalg.norm(block.exact.target[test.untested]))
    if not test.untested.any() or (block.exact.length and share <= rules.resolution / 2 * block.exact.length):
        return None
    return (
        f"{int(test.untested.sum())} of {len(test.untested)} coordinates rest on fewer than 25 rare outcomes, or do "
        "not vary and differ"
    )


def _shown(ratio: Interval, test: ZeroBias, name: Callable[[int], str]) -> str:
    """A clause about a difference that is there and below the resolution."""
    return (
        f"a test of equal means rejects {test.where}: a difference of {ratio.value:.2g}, largest in {name(test.worst)}"
    )


def _differs(block: Block, rules: Rules, ratio: Interval, test: ZeroBias, *, control: Ask, p: float) -> Verdict:
    """The verdict `differs`, or `unclear` where an event that has not come up may explain the difference."""
    if control(block.count) is None and block.count < rules.alone:
        reason = (
            f"a test of equal means rejects, but an unseen event rarer than {UNSEEN / block.count:.1g} (3/R) may "
            f"explain the difference; differs is said only from {rules.alone:,} estimates on"
        )
        return Verdict("unclear", reason, p, float(rules.alone))
    return Verdict("differs", f"the relative difference is above {ratio.low:.2g}, seen {test.where}", p)


def _open(block: Block, length: NoisyLength, rules: Rules, p: float) -> Verdict:
    """The verdict `unclear`, with a sentence about what would settle it."""
    noise, unit = block.deviation(), length.interval(1 - EQUIVALENCE / rules.looks)
    if noise.trace <= 0:
        return Verdict("unclear", "neither stream varies, and rounding may explain the difference of the means", p)
    bound = rules.resolution * unit.value
    if not unit.low:
        z = float(ndtri(1 - EQUIVALENCE / rules.looks / 2))
        needed = block.count * max(1.0, length.trace * z**2 / max(length.square, 1e-300))
        reason = "the mean of the second stream is not told apart from zero, so the difference has no unit"
        return Verdict("unclear", reason, p, needed if needed < HOPELESS else None)
    none, measured = (block.count * growth(noise, rules, bound, at) for at in (0.0, noise.value))
    low = noise.interval(1 - 2 * EQUIVALENCE / rules.looks).low
    reason = settling(block.count, none, measured, low, what="difference", unit="estimates")
    return Verdict("unclear", reason, p, min(none, measured))
