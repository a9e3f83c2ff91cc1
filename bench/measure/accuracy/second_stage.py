"""A second stage for a verdict that the estimates leave unclear: their mean again, with control variates.

It has separate estimates (other seeds, eager), under the same rules, looks and budget as the first stage, and decides
on nothing else: the variance stays that of the first stage. It runs where pilot replicates show that it pays. Each
stage keeps its own level, so the nominal chance of a false verdict is at most twice that of one stage.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf

import torch
from torch import Tensor

from bench.measure.accuracy.adjusted_mean import Adjustment, adjustment
from bench.measure.accuracy.positive_control import control_gradients
from bench.measure.accuracy.stopping import UNREACHABLE, AccuracySettings, Ended, Sampling
from bench.measure.estimates.batching import quarter
from bench.measure.estimates.prepared import Opening
from bench.measure.execution.seeding import seed_draws
from bench.statistics.control import Ask, Control
from bench.statistics.stream import Replicates, Vector
from bench.statistics.verdict import Verdict, growth
from bench.statistics.yardstick import Scale, yardstick

PAYS = 2.0
"""Least ratio of the variances of plain and adjusted estimates: an adjusted one takes about twice as long."""

AMPLE = 8.0
"""The gain that is aimed at, in units of the least that settles the verdict within the budget."""

CONTROLS, LEAST_DRAWS = ("rloo", "set_rloo"), 2
"""The estimators that serve as a control, and their draws."""

FEWEST_ROWS = 32
"""Fewest replicates in a chunk with detailed covariates, because a short one is all overhead."""

ROUGH = 0.99
"""Precision at which this stage may stop: its variance is of no interest."""


@dataclass(frozen=True)
class Judged:
    """What a verdict rests on: the estimates `kept`, and how their sampling ended. `adjusted`: how, in a clause."""

    sampling: Sampling
    ended: Ended
    adjusted: str = ""

    @property
    def verdict(self) -> Verdict:
        """The verdict, whose reason says what it rests on."""
        found = self.ended.verdict
        return replace(found, reason=f"{found.reason} ({self.adjusted})") if self.adjusted else found


def settled_again(first: Judged, cell: Opening, settings: AccuracySettings, seed_of: Callable[[str], int]) -> Judged:
    """The second stage, if the verdict of the first is unclear and this one says more; else the first.

    Args:
        first: The first stage.
        cell: The prepared cell.
        settings: Precision, resolution and budget.
        seed_of: The seed of a named stage.
    """
    raw, verdict = first.sampling, first.ended.verdict
    if verdict.word != "unclear" or raw.kept.nonfinite or raw.kept.count < 2 or raw.exact:
        return first
    block = raw.kept.block("all")
    if not block.varies(raw.rules.tolerance):  # there is no noise to take away
        return first
    found = offered(cell, settings, seed_of, raw.rules.tolerance * block.magnitude, verdict)
    if found is None:
        return first
    if not verdict.gated:
        found = found.tempered(max(PAYS, AMPLE * to_show_none(raw) / settings.max_replicates))
    second = stage(found, cell, raw, settings, seed_of)
    alarm = found.alarm(settings.level)
    if alarm:
        return Judged(raw, with_note(first.ended, alarm))
    return second if says_more(second, first) else first


def rows(cell: Opening, settings: AccuracySettings, *, detailed: bool) -> int:
    """The replicates in a chunk: fewer than of plain estimates, because covariates take several times the memory.

    Detailed covariates, with a backward pass each, have at least `FEWEST_ROWS` where plain estimates have as many.
    """
    least = min(cell.replicates, FEWEST_ROWS) if detailed else 1
    return quarter(max(cell.replicates // 4, least), settings.max_replicates)


def offered(
    cell: Opening, settings: AccuracySettings, seed_of: Callable[[str], int], floor: Vector, verdict: Verdict
) -> Adjustment | None:
    """An adjustment that may settle the verdict: with few covariates or, if these gain too little, with more."""
    best: Adjustment | None = None
    for detailed in (False, True):
        chunk = rows(cell, settings, detailed=detailed)
        found = adjustment(cell.eager, chunk, seed_of, floor, detailed=detailed)
        if found is not None and worthwhile(found, verdict, settings) and (best is None or found.gain > best.gain):
            best = found
        if best is not None and (verdict.needed or 0.0) / best.gain <= settings.max_replicates:
            return best
    return best


def worthwhile(found: Adjustment, verdict: Verdict, settings: AccuracySettings) -> bool:
    """Whether the gain repays the cost, and may settle the verdict within the budget."""
    reachable = (verdict.needed or 0.0) / found.gain <= UNREACHABLE * settings.max_replicates
    return found.gain >= PAYS and reachable


def to_show_none(raw: Sampling) -> float:
    """The plain estimates that would show a bias below the resolution if there is none."""
    block, rules = raw.kept.block("all"), raw.rules
    bound = rules.resolution * yardstick(block, rules.scale, rules.tolerance).length
    return block.count * growth(block.deviation(), rules, bound, 0.0)


def stage(
    found: Adjustment, cell: Opening, raw: Sampling, settings: AccuracySettings, seed_of: Callable[[str], int]
) -> Judged:
    """Runs the second stage."""
    chunk = rows(cell, settings, detailed=found.covariates.detailed)

    def draw(index: int) -> Tensor:
        seed_draws(seed_of(f"adjusted {index}"), cell.eager.device)
        return found(chunk)

    kept, rules = raw.kept, raw.rules
    yard = yardstick(kept.block("all"), rules.scale, rules.tolerance)
    sampling = Sampling(
        draw,
        chunk,
        Replicates(kept.blocks, kept.target, kept.error, kept.size, kept.only),
        replace(settings, precision=ROUGH),
        tolerance=rules.tolerance,
        rare=raw.rare,
        control=sharp(raw.control, found, chunk, seed_of, rules.tolerance * kept.block("all").magnitude),
        scale=Scale(yard.length, yard.scale, inf) if yard.scale else None,
    )
    ended = sampling.run()
    before, after = (each.block("all").trace for each in (kept, sampling.kept))
    gained = f"whose variance is {before / after:.2g} times smaller" if after else "without variance"
    return Judged(sampling, ended, f"the mean of {sampling.kept.drawn:,} estimates less a model of f, {gained}")


def sharp(control: Ask, judged: Adjustment, chunk: int, seed_of: Callable[[str], int], floor: Vector) -> Ask:
    """The control with its own adjusted mean, which must be precise enough to see the error of the estimates.

    Its covariates are detailed if those of the `judged` mean are.
    """
    covariates = judged.covariates

    def asked(replicates: int) -> Control | None:
        known = control(replicates)
        if known is None:
            return None
        own = next(
            filter(None, (control_gradients(covariates.gradients, name, LEAST_DRAWS) for name in CONTROLS)), None
        )
        seeds, detailed = (lambda stage: seed_of(f"control {stage}")), covariates.detailed
        better = own and adjustment(own, chunk, seeds, floor, detailed=detailed)
        if not better:
            return replace(known, sharp=True)
        torch.manual_seed(seed_of("adjusted control"))
        kept = Replicates({"all": slice(0, len(floor))}, None, None)
        while kept.drawn < replicates:
            kept.add(better(chunk))
        return replace(known, sharp=True, batches=kept.block("all").batches)

    return asked


def says_more(second: Judged, first: Judged) -> bool:
    """Whether the second stage settles the verdict, or comes nearer to it."""
    after = second.ended.verdict
    if after.settled or after.gated:
        return after.settled
    return after.needed is not None and to_show_none(second.sampling) < to_show_none(first.sampling)


def with_note(ended: Ended, note: str) -> Ended:
    """The same end, with a sentence added to the reason of its verdict."""
    return replace(ended, verdict=replace(ended.verdict, reason=f"{ended.verdict.reason}; {note}"))
