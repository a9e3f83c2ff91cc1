"""unbiased, biased or unclear: what may be said about E ĝ − g, and what it would take to say it.

*unbiased* is a positive claim: an equivalence test shows ‖E ĝ − g‖ below resolution × ‖g‖, reference's error
included. *biased* needs a test of zero bias that rejects at the level, a second rejection by the replicates of the
next stage alone (three times as many, fresh seeds), and a bias shown to be above the resolution.
Looking early does not inflate false alarms: the looks are fixed beforehand, and both levels are divided by their
number (Bonferroni).
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool

from bench.statistics.bias import ZeroBias, zero_bias
from bench.statistics.block import Block
from bench.statistics.norms import NoisyLength
from bench.statistics.tails import unstable

CONFIRM = 1e-3
"""The level of the second rejection; it is independent of the first, so their levels multiply."""

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
    return zero_bias(block.moments, block.exact, rules.tolerance, rare)


def confirmed(block: Block, rules: Rules, rare: Bool[np.ndarray, " P"] | None) -> bool:
    """Whether the last stage rejects by itself."""
    return zero_bias(block.fresh, block.exact.last(block.fresh.count), rules.tolerance, rare).p <= CONFIRM


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
    if 2 * block.exact.slack > rules.resolution * block.exact.length:
        return Verdict("unclear", "the exact gradient is not known well enough for this resolution", p)
    needed = min(
        replicates_needed(block.deviation(), block.count, block, rules, value)
        for value in (0.0, block.deviation().value)
    )
    more = max(needed - block.count, 0.0)
    if more == 0:
        return Verdict("unclear", "the next look may settle it", p, needed)
    return Verdict("unclear", f"about {more:.2g} more replicates would settle it", p, needed)


def replicates_needed(noise: NoisyLength, count: int, block: Block, rules: Rules, length: float) -> float:
    """The replicates at which a bias of this length would be settled, by bisection on their number."""
    bound = rules.resolution * block.exact.length
    margin = block.exact.slack
    level = 1 - 2 * EQUIVALENCE / rules.looks

    def settled(factor: float) -> bool:
        shrunk = scaled(noise, length, factor)
        interval = shrunk.interval(level)
        return interval.low - margin > bound or interval.high + margin <= bound

    low, high = 0.0, 40.0  # log of the factor
    if not settled(float(np.exp(high))):
        return float("inf")
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (low, middle) if settled(float(np.exp(middle))) else (middle, high)
    return count * float(np.exp(high))


def scaled(noise: NoisyLength, length: float, factor: float) -> NoisyLength:
    """The same noise with `factor` times the replicates, around a bias of this length."""
    trace = noise.trace / factor
    return replace(
        noise,
        square=length**2 + trace,
        trace=trace,
        trace_of_square=noise.trace_of_square / factor**2,
        along=noise.along / factor,
    )
