"""Best-arm identification: which estimator, at how many samples, has the least variance per second.

An arm is an estimator at a number of samples n; its cost is variance × seconds (the work-normalised variance): the
variance that is left when a fixed time is spent on averaging. Successive elimination (Even-Dar, Mannor, Mansour 2006,
"Action elimination and stopping conditions for the multi-armed bandit"): all open arms are measured in turn, four
times as long in each round; an arm whose interval lies above another's is out. Intervals hold for all arms and rounds
together (Bonferroni). The race ends when no open arm can beat the leader by more than `TIE`, or the time is up.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from bench.advice.arm import FIRST, Arm, cheapest, measured, tried

GROWTH = 4
ENOUGH = 1024
"""Replicates before an arm may have won: it must have been compared with a witness of its mean."""
ROUNDS = 8
LEVEL = 0.05
"""The chance that the best arm is thrown out, over the whole race."""
TIE = 0.1
"""Arms whose costs differ by less than this share need not be told apart."""


@dataclass(frozen=True)
class Standing:
    """How far a race is, for whoever watches: the share of the time spent, and the arms still open."""

    spent: float
    open: int


def race(
    arms: Sequence[Arm],
    deadline: float,
    *,
    keep: Sequence[str] = (),
    check: Callable[[Arm], None] = lambda arm: None,
    clock: Callable[[], float] = time.monotonic,
    show: Callable[[Standing], None] = lambda standing: None,
) -> list[Arm]:
    """Measures the arms until the leader is known or `clock()` passes `deadline`, and returns those still open.

    Each arm's `state` says what became of it; `check` may put one out after its turn. Of the
    estimators called `keep` the cheapest arm is measured on, though it be out: others are compared with it.
    """
    start, level = clock(), 1 - LEVEL / max(len(arms) * ROUNDS, 1)
    for number in range(ROUNDS):
        running = [arm for arm in arms if arm.state == "open"]
        kept = [each for name in keep for each in cheapest([a for a in arms if a.name == name and a.state == "out"])]
        for arm in [*running, *kept]:
            if clock() > deadline:
                break
            if arm in running and arm.state != "open":
                continue  # put out by another's turn
            tried(arm, partial(_turn, arm, FIRST * GROWTH**number, level))
            tried(arm, partial(check, arm))
            if not arm.sound:
                reopen(arms)
            eliminate(arms, keep)
            show(Standing((clock() - start) / max(deadline - start, 1e-9), len(still_open(arms))))
        if clock() > deadline or decided(still_open(arms)):
            break
    for arm in arms:
        if arm.state == "open" and arm.found is None:
            arm.state = "not tried: the time was up"
    return still_open(arms)


def _turn(arm: Arm, replicates: int, level: float) -> None:
    """One turn of one arm."""
    if "kept" not in vars(arm):
        arm.prepare("race")
    if measured(arm, replicates - arm.kept.drawn):
        arm.look(level)


def eliminate(arms: Sequence[Arm], keep: Sequence[str] = ()) -> None:
    """Marks those that are shown to cost more than another one; they let go of their memory."""
    best = min((arm.found.high for arm in arms if arm.state == "open" and arm.found), default=0.0)
    for arm in arms:
        if arm.state == "open" and arm.found and arm.found.low > best:
            arm.state = "out"
            if arm.name not in keep:
                arm.release()


def reopen(arms: Sequence[Arm]) -> None:
    """Takes back that arms were out: the one that they lost to was put out itself."""
    for arm in arms:
        arm.state = "open" if arm.state == "out" else arm.state


def still_open(arms: Sequence[Arm]) -> list[Arm]:
    return [arm for arm in arms if arm.state == "open"]


def decided(arms: Sequence[Arm]) -> bool:
    """Whether no open arm can be better than the leader by more than `TIE`, and the leader has `ENOUGH` replicates."""
    known = [arm for arm in arms if arm.found]
    leaders = cheapest(known)
    if any(leader.found and leader.found.replicates < ENOUGH for leader in leaders):
        return False
    others = [arm.found.low for arm in known if arm.found and arm not in leaders]
    return all(leader.found is None or leader.found.high <= (1 + TIE) * min(others) for leader in leaders if others)
