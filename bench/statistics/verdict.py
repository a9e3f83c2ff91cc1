"""unbiased, biased or unclear: what may be said about E ĝ − g, and what it would take to say it.

*unbiased* is a positive claim: an equivalence test shows ‖E ĝ − g‖ below resolution × ‖g‖, reference's error
included. *biased* needs a test of zero bias that rejects at the level, a second rejection by the replicates of the
next stage alone (three times as many, fresh seeds), and a bias shown to be above the resolution.
Looking early does not inflate false alarms: the looks are fixed beforehand, and both levels are divided by their
number (Bonferroni).

A cell's verdict must not depend on which other cells are measured beside it (shards, `--where`, a resumed run), so
the family-wise level of a sweep is met cell by cell: at the default level 1e-5 the two rejections have a chance of
1e-8 by their nominal levels, and of 1e-7 where Hall's test rejects three times as often as it says. A sweep of
100,000 unbiased cells calls one of them biased with a chance of at most 1 %.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from scipy.special import ndtri

from bench.statistics.bias import ZeroBias, zero_bias
from bench.statistics.block import Block
from bench.statistics.norms import NoisyLength
from bench.statistics.tails import unstable

CONFIRM = 1e-3
"""The level of the second rejection; it is independent of the first, so their levels multiply."""

HOPELESS = 1e18

EQUIVALENCE = 0.05
"""The chance of saying *unbiased* of a bias of exactly the resolution."""


@dataclass(frozen=True)
class Rules:
    """What a verdict is held to. `level`: the chance that one cell without bias is called biased."""

    resolution: float
    level: float
    looks: int
    tolerance: float


@dataclass(frozen=True)
class Verdict:
    """`needed`: the replicates in all that would settle it, where that can be told; `p`: adjusted for the looks."""

    word: str
    reason: str
    p: float | None = None
    needed: float | None = None

    @property
    def settled(self) -> bool:
        return self.word in {"unbiased", "biased"}


def judge(block: Block, rules: Rules, rejected_before: bool, rare: Bool[np.ndarray, " P"] | None = None) -> Verdict:
    """The verdict at one look; `rejected_before`: whether the previous look's test rejected."""
    test = tested(block, rules, rare)
    p = min(1.0, test.p * rules.looks)
    varies = block.varies(rules.tolerance)
    gate = (unstable(block.distances) if varies else None) or untested_share(block, test, rules)
    if gate:
        return Verdict("unclear", gate, p)
    if not block.exact.length:
        return zero_gradient(p, rules)
    bound = rules.resolution * block.exact.length
    low, high = limits(block, rules)
    if high <= bound:
        return Verdict("unbiased", f"the relative bias is below {high / block.exact.length:.2g}", p)
    rejects = p <= rules.level
    if rejects and low > bound and (rejected_before or not varies) and confirmed(block, rules, rare):
        return Verdict("biased", f"the relative bias is above {low / block.exact.length:.2g}, seen {test.where}", p)
    return open_verdict(block, rules, p, low)


def tested(block: Block, rules: Rules, rare: Bool[np.ndarray, " P"] | None) -> ZeroBias:
    """The test of zero bias on all replicates so far."""
    return zero_bias(block.moments, block.exact, rules.tolerance, rare, block.batches)


def confirmed(block: Block, rules: Rules, rare: Bool[np.ndarray, " P"] | None) -> bool:
    """Whether the last stage rejects by itself."""
    fresh = block.exact.last(block.fresh.count)
    return zero_bias(block.fresh, fresh, rules.tolerance, rare, block.batches).p <= CONFIRM


def limits(block: Block, rules: Rules) -> tuple[float, float]:
    """One-sided limits of ‖E ĝ − g‖, each at 1 − 5 %/looks, widened by the reference's error."""
    interval = block.deviation().interval(1 - 2 * EQUIVALENCE / rules.looks)
    return interval.low - block.exact.slack, interval.high + block.exact.slack


def untested_share(block: Block, test: ZeroBias, rules: Rules) -> str | None:
    """A sentence where the coordinates that rest on too few outcomes carry more of g than the resolution."""
    share = float(np.linalg.norm(block.exact.target[test.untested]))
    if not test.untested.any() or (block.exact.length and share <= rules.resolution / 2 * block.exact.length):
        return None
    return f"{int(test.untested.sum())} of {len(block.exact.target)} coordinates rest on fewer than 25 rare outcomes"


def zero_gradient(p: float, rules: Rules) -> Verdict:
    """Where g = 0 no relative bias exists."""
    found = "a test of zero bias rejects" if p <= rules.level else "no test of zero bias rejects"
    return Verdict("unclear", f"the exact gradient is zero, so there is no relative bias; {found}", p)


def open_verdict(block: Block, rules: Rules, p: float, low: float) -> Verdict:
    """Unclear, with what would settle it."""
    bound = rules.resolution * block.exact.length
    if 2 * block.exact.slack > bound:
        return Verdict("unclear", "the exact gradient is not known well enough for this resolution", p)
    if p <= rules.level and low > bound:
        return Verdict("unclear", "a test of zero bias rejects, and more replicates have to confirm it", p)
    noise = block.deviation()
    needed = block.count * min(growth(noise, rules, bound, length) for length in (0.0, noise.value))
    if needed > HOPELESS:
        return Verdict("unclear", "the bias is too near to the resolution to tell on which side it lies", p, needed)
    more = max(needed - block.count, block.count)
    return Verdict("unclear", f"about {more:.2g} more replicates would settle it", p, needed)


def growth(noise: NoisyLength, rules: Rules, bound: float, length: float) -> float:
    """How many times the replicates would show, about four times in five, on which side of the bound a bias lies.

    With u times the noise, ‖m‖² − tr has the variance 2 tr Σ² u² + 4 ‖b‖² σ² u, and the length itself the standard
    deviation σ √u near the bound; both have to fit between ‖b‖ and the bound.
    """
    z = float(ndtri(1 - EQUIVALENCE / rules.looks))
    gap, power = abs(bound**2 - length**2), z + float(ndtri(0.9))
    flat, steep = 2 * noise.trace_of_square, 4 * length**2 * noise.along
    spread = 2 * gap**2 / power**2 / (steep + (steep**2 + 4 * flat * gap**2 / power**2) ** 0.5)
    either = z + float(ndtri(0.95 if length < bound else 0.9))  # two sides can fail at length 0
    nearest = (bound - length) ** 2 / (either**2 * max(noise.along, 1e-300))
    return 1 / max(min(spread, nearest), 1e-300)
