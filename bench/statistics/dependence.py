"""Test of independence of the replicates: compares the variance of chunk means with that of single estimates.

A chunk is one call of the estimator, so anything that its replicates share (a draw, a batch statistic) moves the mean
of the chunk. Take G chunks, or groups of chunks, of m replicates each, and F = m · (variance of their means) ÷
(variance of an estimate). If the replicates are independent and the means about normal, (G − 1) F is χ² with G − 1
degrees of freedom.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import chdtr, chdtrc

from bench.statistics.block import Block

DEPENDENCE_LEVEL = 1e-7
"""Nominal level of one test: the chance that independent estimates are called dependent at one look."""

SUSPICION = 0.01
"""Level at which a cell gets one more look before its verdict is final, because few chunks give little power."""

MIN_GROUPS = 4

NEAR_NORMAL = 16
"""Replicates in a mean, in multiples of the kurtosis, for the mean to be near normal: its excess kurtosis is below
1/16."""


@dataclass(frozen=True)
class ChunkTest:
    """A test of independence on means of `replicates` estimates each.

    `p`: the two-sided p-value, adjusted for the number of coordinates. `ratio`: the most extreme F, 1 for independent
    estimates; NaN where no coordinate can be tested.
    """

    p: float
    replicates: float
    ratio: float


def dependent(block: Block, tolerance: float, level: float = DEPENDENCE_LEVEL) -> str | None:
    """Returns a sentence if the replicates of a chunk depend on each other, else None.

    The test is two-sided: common shocks make the means vary too much, mirrored replicates too little. It runs on the
    means of single chunks, which are many, and on the means of groups of chunks, which are nearer to normal. Excluded
    are coordinates that do not vary, and those whose means are not normal (fewer replicates than 16 times the
    kurtosis).
    """
    for test in chunk_tests(block, tolerance):
        if test.p <= level / 2:
            return dependence_reason(test.replicates, test.ratio)
    return None


def chunk_tests(block: Block, tolerance: float) -> Iterator[ChunkTest]:
    """Yields the test on single chunks and the test on groups of chunks, each if there are at least four means."""
    moments, groups = block.moments, block.groups
    moves = np.sqrt(moments.variance) > tolerance * block.magnitude
    grouped = groups.size * groups.variance if groups.whole > 1 else moments.variance
    single = (moments.m2 - block.within) / max(groups.chunks - 1, 1)
    for between, count, replicates in (
        (single, groups.chunks, block.count / max(groups.chunks, 1)),
        (grouped, groups.whole, float(groups.size)),
    ):
        heard = moves & (replicates >= NEAR_NORMAL * moments.kurtosis)
        ratio = between[heard] / moments.variance[heard]
        if count >= MIN_GROUPS:
            yield ChunkTest(dependence_pvalue(ratio, count - 1), replicates, most_extreme(ratio))


def most_extreme(ratio: Float[np.ndarray, " k"]) -> float:
    """The F that is furthest from 1 on the log scale; NaN where there is none."""
    return float(ratio[np.abs(np.log(np.maximum(ratio, 1e-300))).argmax()]) if len(ratio) else float("nan")


def dependence_pvalue(ratio: Float[np.ndarray, " k"], freedom: int) -> float:
    """The two-sided p-value of the most extreme F over k coordinates, with Bonferroni's correction.

    `ratio`: the F statistics, `[k]`. `freedom`: the degrees of freedom.
    """
    tail = np.minimum(chdtrc(freedom, freedom * ratio), chdtr(freedom, freedom * ratio))
    return 2 * float(tail.min()) * len(tail) if len(tail) else 1.0


def dependence_reason(replicates: float, ratio: float) -> str:
    """The sentence that `dependent` returns."""
    return (
        f"the replicates of a chunk depend on each other: means of {replicates:.0f} of them vary {ratio:.2g} times as "
        "much as means of independent replicates, so no interval is valid"
    )
