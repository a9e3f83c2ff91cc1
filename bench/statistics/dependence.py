"""Are the replicates independent? The means of groups of whole chunks vary as much as single estimates allow, or not.

A chunk is one call of the estimator, so what its replicates share (a draw, a batch statistic) moves their mean as a
whole. Of G groups of m replicates each, (G − 1) F with F = m · variance of the group means ÷ variance of an estimate
is χ² with G − 1 degrees of freedom, where the means are about normal.
"""

import numpy as np
from scipy.special import chdtr, chdtrc

from bench.statistics.block import Block
from bench.statistics.tails import MIN_OUTCOMES

LEVEL = 1e-7
"""The chance that one look at independent estimates is called dependent, by the nominal level."""

MIN_GROUPS = 4


def dependent(block: Block, tolerance: float) -> str | None:
    """A sentence where the replicates of a chunk depend on each other; None where nothing shows it.

    Both sides: common shocks make the means vary too much, mirrored replicates too little. Coordinates that do not
    vary, and those whose group means are not normal (fewer replicates than 25 times the kurtosis), are left out.
    """
    full = block.group_counts == (block.group_counts.max() if len(block.group_counts) else 0)
    means, size = block.groups[full], float(block.group_counts.max()) if len(block.group_counts) else 0.0
    moments = block.moments
    if len(means) < MIN_GROUPS:
        return None
    heard = (np.sqrt(moments.variance) > tolerance * block.magnitude) & (size >= MIN_OUTCOMES * moments.kurtosis)
    if not heard.any():
        return None
    freedom = len(means) - 1
    ratio = size * means[:, heard].var(0, ddof=1) / moments.variance[heard]
    tail = np.minimum(chdtrc(freedom, freedom * ratio), chdtr(freedom, freedom * ratio))
    if 2 * tail.min() * len(tail) > LEVEL:
        return None
    worst = float(ratio[tail.argmin()])
    return (
        f"the replicates of a chunk depend on each other: means of {size:.0f} of them vary {worst:.2g} times as much "
        "as independent ones would, so no interval holds"
    )
