"""The verdict on E ĝ − g: unbiased, biased or unclear, with the reason and the replicates that would settle it.

*unbiased* is a positive claim: an equivalence test shows ‖E ĝ − g‖ below resolution × ‖g‖, the reference's error
included. *biased* needs three things: a test of zero bias that rejects at the level, a second rejection by the
replicates of the next stage alone (three times as many, fresh seeds), and a bias shown to be above the resolution.
Where g is zero or nearly zero there is no relative bias, and another length replaces ‖g‖: that of the gradient at the
start of training, or the root mean square norm of an estimate (`bench.statistics.yardstick`). Looking early does not
inflate false alarms: the looks are fixed beforehand, and both levels are divided by their number (Bonferroni).

A cell's verdict must not depend on which other cells are measured beside it (shards, `--where`, a resumed run), so
the family-wise level of a sweep is met cell by cell: at the default level 1e-5, the nominal chance of both rejections
is 1e-8. The chance is larger for rare, skewed and heavy-tailed estimates; results/coverage
(`bench.validation.coverage.alarms`) measures it, separately for each rejection: a sweep of 100,000 unbiased cells calls
one of them biased with a chance of at most 1 %. The exception is ordinary noise beside a rare event that carries a
part of the mean: until the event comes up both tests reject, and only the following rule prevents a false *biased*.

**No test sees an event that has not come up.** An event with a probability below about 3/R may stay unseen in R
replicates; if it is large, it may carry any bias, or cancel the measured bias. An unbiased estimate that waits for such
an event looks exactly like a biased one. So *biased* needs evidence beyond the estimates: either a control
(`bench.statistics.control`), a score function with the same number of draws, shows the gradient that the estimates
miss; or there are 1,000,000 replicates. This does not detect an event rarer than 3/R in f that is small compared with
the control's own noise (or that carries less than a tenth of g where f is smooth), nor an event in the estimator's own
random numbers, on which f does not depend.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from scipy.special import ndtri

from bench.statistics.bias import ZeroBias, zero_bias
from bench.statistics.block import Block
from bench.statistics.control import ALONE, UNSEEN, Ask, known_control
from bench.statistics.dependence import dependent
from bench.statistics.norms import NoisyLength
from bench.statistics.tails import unstable
from bench.statistics.yardstick import Scale, Yardstick, yardstick

CONFIRM = 1e-3
"""The level of the second rejection. It is independent of the first, so the levels multiply."""

HOPELESS = 1e18
"""Number of replicates beyond which a verdict is called out of reach."""

EQUIVALENCE = 0.05
"""The chance of saying *unbiased* of a bias of exactly the resolution."""


@dataclass(frozen=True)
class Rules:
    """The settings of a verdict.

    `resolution`: the relative bias below which an estimator is called unbiased. `level`: of the first test of zero
    bias. `looks`: the planned number of looks. `tolerance`: the relative rounding error of an estimate. `alone`:
    replicates from which *biased* is said without a control. `scale`: the length in the place of ‖g‖ where g is zero or
    nearly zero. Default: that of a typical estimate.
    """

    resolution: float
    level: float
    looks: int
    tolerance: float
    alone: int = ALONE
    scale: Scale | None = None


@dataclass(frozen=True)
class Verdict:
    """A verdict: `word` is unbiased, biased or unclear (of two means: same, differs or unclear); `reason` says why.

    `p`: p-value of zero bias, adjusted for the number of looks. `needed`: the least total number of replicates that may
    settle the verdict, where it can be predicted: that of no bias or of the bias as measured, whichever is smaller. By
    chance a bias seems large, so this is no number to promise; `reason` says one with its condition. `gated`: the
    estimates have no verdict, whatever the size of their bias.
    """

    word: str
    reason: str
    p: float | None = None
    needed: float | None = None
    gated: bool = False

    @property
    def settled(self) -> bool:
        """Whether the verdict is unbiased or biased; of two means, same or differs."""
        return self.word in {"unbiased", "biased", "same", "differs"}


def judge(
    block: Block,
    rules: Rules,
    rejected_before: bool,
    rare: Bool[np.ndarray, " P"] | None = None,
    *,
    control: Ask = known_control,
    name: Callable[[int], str] = "coordinate {}".format,
) -> Verdict:
    """The verdict at one look.

    Args:
        block: The statistics of the estimates.
        rules: Resolution, level and number of looks.
        rejected_before: Whether the test at the previous look rejected.
        rare: Coordinates that rest on too few discrete outcomes.
        control: The control of these draws, evaluated only where the verdict depends on it.
        name: Returns the name of a coordinate by its index.

    Returns:
        The word, its reason, the p-value, and the replicates that would settle an open verdict.
    """
    test = tested(block, rules, rare, control)
    p = min(1.0, test.p * rules.looks)
    varies = block.varies(rules.tolerance)
    gate = dependent(block, rules.tolerance) or (unstable(block.distances) if varies else None)
    yard = yardstick(block, rules.scale, rules.tolerance)
    gate = gate or untested_share(block, test, rules, yard)
    if gate:
        return Verdict("unclear", gate, p, gated=True)
    bound = rules.resolution * yard.length
    low, high = limits(block, rules)
    rejects = p <= rules.level
    if high <= bound:
        below = yard.of(f"is below {high / yard.length:.2g}") if high else "the mean equals the exact gradient"
        return Verdict("unbiased", below + (f", yet {shown_bias(block, yard, test, name)}" if rejects else ""), p)
    if rejects and low > bound and (rejected_before or not varies) and confirmed(block, rules, rare, control):
        doubt = hidden(block, rules, test, control)
        if doubt:
            return Verdict("unclear", doubt, p, float(rules.alone))
        return Verdict("biased", f"{yard.of(f'is above {low / yard.length:.2g}')}, seen {test.where}", p)
    return open_verdict(block, rules, p, low, yard)


def tested(block: Block, rules: Rules, rare: Bool[np.ndarray, " P"] | None, control: Ask) -> ZeroBias:
    """Runs the test of zero bias on all replicates so far."""
    return zero_bias(block.moments, block.exact, rules.tolerance, rare, block.batches, control=control)


def confirmed(block: Block, rules: Rules, rare: Bool[np.ndarray, " P"] | None, control: Ask) -> bool:
    """Whether the replicates of the last stage alone reject zero bias."""
    fresh = block.exact.last(block.fresh.count)
    return zero_bias(block.fresh, fresh, rules.tolerance, rare, block.batches, control=control).p <= CONFIRM


def limits(block: Block, rules: Rules) -> tuple[float, float]:
    """The one-sided limits of ‖E ĝ − g‖, each at level 1 − 5 %/looks, widened by the reference's error."""
    interval = block.deviation().interval(1 - 2 * EQUIVALENCE / rules.looks)
    return interval.low - block.exact.slack, interval.high + block.exact.slack


def shown_bias(block: Block, yard: Yardstick, test: ZeroBias, name: Callable[[int], str]) -> str:
    """A clause about a detected bias: its size, its interval and the worst coordinate."""
    bias = block.bias().scaled(1 / yard.length)
    off, g = float(block.moments.mean[test.worst]), float(block.exact.target[test.worst])
    worst = f"{off:.3g} instead of {g:.3g}" + (f", off by {abs(off / g - 1):.2g} of it" if g else "")
    return (
        f"a test of zero bias rejects {test.where}: there is a bias of {bias.value:.2g} "
        f"(95 % interval {bias.low:.2g} to {bias.high:.2g}); the worst coordinate is {name(test.worst)} ({worst})"
    )


def hidden(block: Block, rules: Rules, test: ZeroBias, control: Ask) -> str | None:
    """Returns a sentence if an event that has not come up may explain the apparent bias, else None."""
    found = control(block.count)
    if found is None:
        if block.count >= rules.alone:
            return None
        return (
            f"a test of zero bias rejects, but an unseen event rarer than {UNSEEN / block.count:.1g} (3/R) may explain "
            f"the difference; without a control, biased is said only from {rules.alone:,} replicates on"
        )
    off = np.where(test.untested, 0.0, block.moments.mean - block.exact.target)
    if not found.misses(block.exact.target, off, block.exact.slack):
        return None
    return (
        "a test of zero bias rejects, but a score function misses the exact gradient in these draws as well: either "
        f"events rarer than about {UNSEEN / block.count:.1g} (3/R) carry it and have not come up, or the exact "
        "gradient is wrong"
    )


def untested_share(block: Block, test: ZeroBias, rules: Rules, yard: Yardstick) -> str | None:
    """Returns a sentence if the coordinates that were not tested carry more of g than the resolution, else None.

    Where g is zero, a share of it does not show that coordinates do not matter: none may be constant, and some must
    have been tested.
    """
    share = float(np.linalg.norm(block.exact.target[test.untested]))
    blind = block.exact_is_zero and (test.constant.any() or test.untested.all())
    if not test.untested.any() or (share <= rules.resolution / 2 * yard.length and not blind):
        return None
    count = len(block.exact.target)
    if test.constant.any():
        return (
            f"{int(test.constant.sum())} of {count} coordinates are constant and differ from the exact gradient, and "
            "nothing shows that the objective varies in these draws: an event that moves them may not have come up, "
            f"if it is rarer than about {UNSEEN / block.count:.1g} (3/R)"
        )
    return f"{int(test.untested.sum())} of {count} coordinates rest on fewer than 25 rare outcomes"


def open_verdict(block: Block, rules: Rules, p: float, low: float, yard: Yardstick) -> Verdict:
    """The verdict `unclear`, with a sentence about what would settle it."""
    bound = rules.resolution * yard.length
    if 2 * block.exact.slack > bound:
        return Verdict("unclear", "the exact gradient is not known well enough for this resolution", p)
    if p <= rules.level and low > bound:
        return Verdict("unclear", "a test of zero bias rejects, but more replicates must confirm it", p)
    if not block.varies(rules.tolerance):
        return Verdict("unclear", rounded(block, yard), p)
    noise = block.deviation()
    none, measured = (block.count * growth(noise, rules, bound, length) for length in (0.0, noise.value))
    return Verdict("unclear", settling(block.count, none, measured, low), p, min(none, measured))


def settling(
    count: int, none: float, measured: float, low: float, *, what: str = "bias", unit: str = "replicates"
) -> str:
    """The sentence about what settles a verdict after `count` replicates, with the condition under which it holds.

    A bias as large as measured counts only where zero is excluded: else noise that looks like a large bias would
    promise that a few more replicates show it.

    Args:
        count: The replicates so far.
        none: The replicates that show a bias below the resolution if there is none.
        measured: The replicates that show on which side of the resolution the bias lies if it is as measured.
        low: The lower limit of the bias; zero is not excluded if it is not positive.
        what: The noun for the bias.
        unit: The noun for the replicates.

    >>> settling(1000, 9000.0, 1500.0, 0.0)
    'if there is no bias, about 8e+03 more replicates would settle it'
    """
    needed, condition = (measured, f"the {what} is as measured") if low > 0 else (none, f"there is no {what}")
    if needed > HOPELESS:
        return f"the {what} is too close to the resolution to tell which is larger"
    return f"if {condition}, about {max(needed - count, count):.2g} more {unit} would settle it"


def rounded(block: Block, yard: Yardstick) -> str:
    """The reason for estimates that do not vary and differ from the exact gradient by no more than rounding."""
    off = float(np.linalg.norm(block.moments.mean - block.exact.target))
    return (
        f"the estimates do not vary, and {yard.of(f'is {off / yard.length:.2g}')}: rounding may explain it, because "
        "the exact gradient is small compared with the terms that an estimate is summed from; a longer dtype would "
        "settle it, more replicates would not"
    )


def growth(noise: NoisyLength, rules: Rules, bound: float, length: float) -> float:
    """The factor by which the replicates must grow to show, with a power of about 80 %, on which side of `bound` a bias
    of norm `length` lies.

    At u times the noise, ‖m‖² − tr has the variance 2 tr Σ² u² + 4 ‖b‖² σ² u, and near the bound the norm has the
    standard deviation σ √u; both must fit between ‖b‖ and the bound.
    """
    z = float(ndtri(1 - EQUIVALENCE / rules.looks))
    gap, power = abs(bound**2 - length**2), z + float(ndtri(0.9))
    flat, steep = 2 * noise.trace_of_square, 4 * length**2 * noise.along
    spread = 2 * gap**2 / power**2 / (steep + (steep**2 + 4 * flat * gap**2 / power**2) ** 0.5)
    either = z + float(ndtri(0.95 if length < bound else 0.9))  # two sides can fail at length 0
    nearest = (bound - length) ** 2 / (either**2 * max(noise.along, 1e-300))
    return 1 / max(min(spread, nearest), 1e-300)
