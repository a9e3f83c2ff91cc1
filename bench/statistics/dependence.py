"""Are the replicates independent? The means of whole chunks vary as much as single estimates allow, or not.

A chunk is one call of the estimator, so what its replicates share (a draw, a batch statistic) moves their mean as a
whole. Of G chunks, or groups of chunks, of m replicates each, (G − 1) F with F = m · variance of their means ÷ variance
of an estimate is χ² with G − 1 degrees of freedom, where the means are about normal.
"""

import numpy as np
from jaxtyping import Float
from scipy.special import chdtr, chdtrc

from bench.statistics.block import Block

DEPENDENCE_LEVEL = 1e-7
"""The chance that one look at independent estimates is called dependent, by the nominal level."""

SUSPICION = 0.01
"""At this level a cell is looked at once more before its verdict is final: four chunks tell little."""

MIN_GROUPS = 4

NEAR_NORMAL = 16
"""Kurtoses of replicates in a mean: its own excess is then below 1/16."""


def dependent(block: Block, tolerance: float, level: float = DEPENDENCE_LEVEL) -> str | None:
    """A sentence where the replicates of a chunk depend on each other; None where nothing shows it.

    Both sides: common shocks make the means vary too much, mirrored replicates too little. Means of single chunks are
    tested, which are many, and those of groups of chunks, which are nearer to normal. Coordinates that do not vary are
    left out, and so are those whose means are not normal (of fewer replicates than 16 times the kurtosis).
    """
    moments = block.moments
    moves = np.sqrt(moments.variance) > tolerance * block.magnitude
    whole = block.group_counts == block.group_counts.max(initial=0.0)
    size = float(block.group_counts.max(initial=0.0))
    grouped = size * block.groups[whole].var(0, ddof=1) if whole.sum() > 1 else moments.variance
    single = (moments.m2 - block.within) / max(block.chunks - 1, 1)
    for between, count, replicates in (
        (single, block.chunks, block.count / max(block.chunks, 1)),
        (grouped, int(whole.sum()), size),
    ):
        heard = moves & (replicates >= NEAR_NORMAL * moments.kurtosis)
        ratio = between[heard] / moments.variance[heard]
        if count >= MIN_GROUPS and dependence_pvalue(ratio, count - 1) <= level / 2:
            return dependence_reason(replicates, float(ratio[np.abs(np.log(np.maximum(ratio, 1e-300))).argmax()]))
    return None


def dependence_pvalue(ratio: Float[np.ndarray, " k"], freedom: int) -> float:
    """The p-value of the F that is furthest from 1 on either side, after Bonferroni over the coordinates."""
    tail = np.minimum(chdtrc(freedom, freedom * ratio), chdtr(freedom, freedom * ratio))
    return 2 * float(tail.min()) * len(tail) if len(tail) else 1.0


def dependence_reason(replicates: float, ratio: float) -> str:
    """The sentence."""
    return (
        f"the replicates of a chunk depend on each other: means of {replicates:.0f} of them vary {ratio:.2g} times as "
        "much as those of independent ones would, so no interval holds"
    )
