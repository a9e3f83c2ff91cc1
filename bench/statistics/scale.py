"""The verdict on the scale of E ĝ along g: kept, shrunk, stretched or unclear.

The scale is ⟨E ĝ, g⟩/‖g‖², the length of E ĝ along g in units of g. An optimiser that normalises its steps cancels it,
while it follows the direction (`bench.statistics.direction`), so the two parts of a bias are judged apart. The verdict
has the discipline of the one on the direction: *kept* is a positive claim, the interval of the scale lies within
1 ± resolution. *shrunk* and *stretched* need the verdict *biased*, an interval that lies beyond 1 ± resolution, and two
rejections of a scale of 1: by the stages before the last one at the level, and by the last stage alone. A reversed mean
has a negative scale and is *shrunk*; its direction says *reversed*.
"""

from bench.statistics.block import Block
from bench.statistics.direction import both_stages_below_zero
from bench.statistics.interval import Interval
from bench.statistics.verdict import EQUIVALENCE, Rules, Verdict


def judge_scale(block: Block, rules: Rules, bias: Verdict) -> Verdict:
    """The verdict on the scale of E ĝ, after the last look.

    Args:
        block: The statistics of the estimates.
        rules: Resolution, level and number of looks of the verdict on the bias.
        bias: The verdict on the bias. What made it unclear for a reason other than the size of the bias makes this one
            unclear, too.

    Returns:
        The word, empty where g = 0, and the reason.
    """
    found = block.scale(1 - 2 * EQUIVALENCE / rules.looks)
    if found is None or block.exact_is_zero:
        return Verdict("", "the exact gradient is zero: there is no scale")
    if bias.gated:
        return Verdict("unclear", bias.reason)
    if bias.word == "unbiased":
        return Verdict("kept", f"a relative bias below {rules.resolution:g} changes the scale by less than that")
    low, high = 1 - rules.resolution, 1 + rules.resolution
    if low <= found.low and found.high <= high:
        return Verdict("kept", f"the scale is between {found.low:.4g} and {found.high:.4g}")
    doubt = _doubt(block, rules, bias, found)
    if doubt:
        return Verdict("unclear", doubt)
    word, bound = ("shrunk", f"below {found.high:.3g}") if found.value < 1 else ("stretched", f"above {found.low:.3g}")
    return Verdict(word, f"the scale is {bound}")


def _doubt(block: Block, rules: Rules, bias: Verdict, found: Interval) -> str | None:
    """Returns a sentence if the scale is not shown to be wrong, else None."""
    if found.high >= 1 - rules.resolution and found.low <= 1 + rules.resolution:
        return f"the scale is not shown to be within or beyond 1 ± {rules.resolution:g}"
    if bias.word != "biased":
        return "the scale seems to be wrong, but the verdict on the bias is open"
    sign = 1.0 if found.value < 1 else -1.0
    if not both_stages_below_zero(block, sign * block.exact.along + block.exact.slack, rules):
        return "more replicates must confirm that the scale is wrong"
    return None
