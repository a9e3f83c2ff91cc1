"""Best-arm identification: which estimator, at how many samples, has the least variance per unit of cost.

What is minimised is variance × cost of a training step (the work-normalised variance): the variance that is left when
a fixed time is spent on averaging. The race is fair: every estimator is measured at one number of samples before any is
at a second, in an order that is drawn, and a turn takes at most a share of the time. Then it is successive elimination
(Even-Dar, Mannor, Mansour 2006, "Action elimination and stopping conditions for the multi-armed bandit"): open
candidates are measured in turn, four times as long in each round; one whose interval lies above another's is beaten.
Intervals hold for all candidates and rounds together (Bonferroni).
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.advice.candidate import BEATEN, OPEN, Candidate, cheapest, score_of
from bench.advice.turns import FIRST_MOST

GROWTH = 4
ENOUGH = 1024
"""Estimates before a candidate may have won: its mean must have been compared with a witness."""
ROUNDS = 8
LEVEL = 0.05
"""The chance that the best candidate is thrown out, over the whole race."""
TIE = 0.1
"""Costs that differ by less than this share need not be told apart."""
BETTER = 4.0
"""How much better than 1/n the variance of an estimator may fall with n, as far as the race allows for it."""
FIRST_SHARE, LADDER_SHARE, RACE_SHARE = 0.35, 0.6, 0.7
"""Of the time: what the first number of samples takes, when the others have been tried, when fresh draws begin."""
TURN_SHARE = 0.08
"""Of the time: the most that the first turn of one estimator is to take."""
NO_TIME = "not tried: the time was up"


@dataclass(frozen=True)
class RaceStanding:
    """The progress of a race: the share of the time spent, and the candidates still open."""

    spent: float
    open: int


@dataclass
class Race:
    """The race of some candidates.

    Args:
        candidates: All of them, in any order.
        measure: `measure(candidate, replicates, seconds, most_seconds)` takes a turn.
        judge: Called after a turn; may set a candidate's state to a reason.
        clock: Seconds; the race ends at `start + seconds`.
        show: Called with the progress.
    """

    candidates: Sequence[Candidate]
    measure: Callable[[Candidate, int, float, float], None]
    clock: Callable[[], float]
    start: float
    seconds: float
    judge: Callable[[Candidate], None] = lambda candidate: None
    show: Callable[[RaceStanding], None] = lambda standing: None
    seed: int = 0
    between: Callable[[], object] = lambda: None
    """Called before each later round: a witness takes its turn."""
    level: float = field(init=False)

    def __post_init__(self) -> None:
        self.level = 1 - LEVEL / max(len(self.candidates) * ROUNDS, 1)

    @property
    def elapsed(self) -> float:
        return self.clock() - self.start

    def left(self, share: float) -> float:
        """Seconds until this share of the time is spent."""
        return share * self.seconds - self.elapsed

    def run(self, first_samples: int) -> list[Candidate]:
        """Measures until the leader is known or `RACE_SHARE` of the time is spent; returns those still open."""
        self.first_pass(first_samples)
        self.other_samples(first_samples)
        number = 1
        while number < ROUNDS and self.left(RACE_SHARE) > 0 and not decided(still_open(self.candidates)):
            self.between()
            self.one_more_round(FIRST_MOST * GROWTH**number)
            number += 1
        for each in self.candidates:
            if each.state == OPEN and each.score is None:
                each.state = NO_TIME
        return still_open(self.candidates)

    def first_pass(self, first_samples: int) -> None:
        """Measures every estimator at `first_samples`, or at the nearest number of samples at which it fits."""
        ladder = self._ladder()
        first = [min(own, key=lambda c: (abs(c.samples - first_samples), c.samples)) for own in ladder.values()]
        random.Random(self.seed).shuffle(first)
        first.sort(key=lambda each: each.estimator.exact)  # enumeration may take long, so it comes last
        self._turns(first, FIRST_SHARE, FIRST_MOST)
        for at_first in first:
            if not at_first.sound:  # an estimator that fails or is too slow at one n is not tried at others
                for each in ladder[at_first.name]:
                    if each.state == OPEN:
                        each.state = f"not tried: at n = {at_first.samples} {at_first.state}"

    def other_samples(self, first_samples: int) -> None:
        """Measures the other numbers of samples: estimators that did well come first, hopeless ones are left out."""
        best = min((score_of(c).high for c in self.candidates if c.score and c.sound), default=float("inf"))
        waiting: list[Candidate] = []
        ranked = sorted(self._ladder().values(), key=_rank)
        for own in ranked:
            first = next((each for each in own if each.score), None)
            for each in own:
                if each.score or each.state != OPEN or first is None:
                    continue
                if score_of(first).low * min(first.samples / each.samples, 1.0) / BETTER > best:
                    each.state = BEATEN
                else:
                    waiting.append(each)
        self._turns(waiting, LADDER_SHARE, FIRST_MOST)
        eliminate(self.candidates)

    def one_more_round(self, replicates: int) -> None:
        """Measures every open candidate up to `replicates` estimates, or as many as its share of the time allows."""
        self._turns(still_open(self.candidates), RACE_SHARE, replicates)

    def _turns(self, candidates: Sequence[Candidate], share: float, replicates: int) -> None:
        """Takes a turn of each candidate; they share the time until `share` of it is spent."""
        for place, each in enumerate(candidates):
            if self.left(share) <= 0 and self.left(RACE_SHARE) <= 0:
                return
            if each.state != OPEN or each.replicates >= replicates:
                continue
            seconds = max(self.left(share), 0.0) / (len(candidates) - place)
            self.measure(each, replicates - each.replicates, seconds, TURN_SHARE * self.seconds)
            if each.sound and each.moments is not None:
                each.weigh(self.level)
                self.judge(each)
            if not each.sound:
                reopen(self.candidates)
            eliminate(self.candidates)
            self.show(RaceStanding(self.elapsed / max(self.seconds, 1e-9), len(still_open(self.candidates))))

    def _ladder(self) -> dict[str, list[Candidate]]:
        """Groups the candidates by estimator."""
        found: dict[str, list[Candidate]] = {}
        for each in self.candidates:
            found.setdefault(each.name, []).append(each)
        return found


def _rank(own: list[Candidate]) -> tuple[float, float]:
    best = cheapest([each for each in own if each.sound])
    return score_of(best).key if best else (float("inf"), float("inf"))


def eliminate(candidates: Sequence[Candidate]) -> None:
    """Marks candidates that are shown to cost more than another; if neither varies, the cost of a step decides."""
    running = [each for each in candidates if each.state == OPEN and each.score]
    best = min((score_of(each).high for each in running), default=0.0)
    still = [each for each in running if not score_of(each).variance.value and not score_of(each).gate]
    quickest = min((score_of(each).step.high for each in still), default=float("inf"))
    for each in running:
        score = score_of(each)
        if score.low > best or (each in still and score.step.low > quickest):
            each.state = BEATEN


def reopen(candidates: Sequence[Candidate]) -> None:
    """Reopens beaten candidates after one is disqualified: it may have been the one that beat them."""
    for each in candidates:
        if each.state == BEATEN and each.score:
            each.state = OPEN


def still_open(candidates: Sequence[Candidate]) -> list[Candidate]:
    return [each for each in candidates if each.state == OPEN]


def decided(candidates: Sequence[Candidate]) -> bool:
    """Whether no open candidate can be better than the leader by more than `TIE`, and the leader has `ENOUGH`."""
    leader = cheapest(candidates)
    if leader is None or any(each.score is None for each in candidates):
        return leader is None
    own = score_of(leader)
    if own.gate:
        return False
    others = [score_of(each) for each in candidates if each is not leader]
    if not own.variance.value:
        rivals = [each for each in others if not each.variance.value and not each.gate]
        return len(rivals) == len(others) and all(own.step.high <= (1 + TIE) * each.step.low for each in rivals)
    if own.replicates < ENOUGH:
        return False
    return all(own.high <= (1 + TIE) * each.low for each in others)
