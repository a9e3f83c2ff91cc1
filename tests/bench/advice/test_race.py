"""The race on candidates whose variance and cost are known, so that its rules can be checked."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from bench.advice.candidate import BEATEN, OPEN, Candidate, cheapest, score_of
from bench.advice.conclusion import conclude
from bench.advice.parcel import Parcel
from bench.advice.race import NO_TIME, Race, decided, eliminate
from bench.advice.turns import Sketch, TurnSums
from estimators import get

PLAIN = Parcel.of(get("reinforce"))


@dataclass
class Rig:
    """Turns of candidates whose estimates are Normal around 1, and whose step takes a given time on a separate clock.

    `spread` and `step` are by name; a step's time is added to the clock for every estimate.
    """

    spread: dict[str, float]
    step: dict[str, float] = field(default_factory=dict)
    now: float = 0.0
    turns: list[tuple[str, int]] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def measure(self, candidate: Candidate, replicates: int, seconds: float, most_seconds: float) -> None:
        """As many estimates as fit into the seconds, at least 8."""
        step = self.step.get(candidate.name, 1e-3)
        count = int(np.clip(seconds / step, 8, replicates))
        rows = 1 + self.spread[candidate.name] / candidate.samples**0.5 * torch.randn(count, 2, dtype=torch.float64)
        sums = TurnSums(Sketch(2))
        sums.add(rows)
        candidate.add(sums.result([step] * 12))
        self.now += count * step
        self.turns.append((candidate.name, candidate.samples))

    def race(self, samples: tuple[int, ...] = (2,), seconds: float = 60.0, seed: int = 0) -> Race:
        candidates = [Candidate(name, PLAIN, n) for name in self.spread for n in samples]
        return Race(candidates, self.measure, self.clock, 0.0, seconds, seed=seed)


@pytest.mark.parametrize("seed", range(8))
def test_the_race_keeps_the_best_and_stops_by_itself(seed: int):
    """P(the best of one race is thrown out) ≤ 5 % by Bonferroni's bound, which is far from tight."""
    torch.manual_seed(seed)
    rig = Rig({"best": 1.0, "near": 1.5, "far": 3.0, "farther": 10.0, "slow": 0.9}, {"slow": 2e-3})
    race = rig.race(seed=seed)
    left = race.run(2)
    best = cheapest(left)
    assert best is not None and best.name == "best" and decided(left)
    assert {each.name for each in race.candidates if each.state == BEATEN} >= {"far", "farther"}
    assert rig.now < 42


def test_every_estimator_has_a_turn_before_any_has_a_second():
    torch.manual_seed(0)
    names = [f"{i}" for i in range(12)]
    rig = Rig(dict.fromkeys(names, 1.0))
    rig.race(samples=(1, 2, 4)).run(2)
    first = rig.turns[:12]
    assert sorted(name for name, _ in first) == sorted(names) and {n for _, n in first} == {2}
    assert [name for name, _ in first] != names  # in an order that is drawn


def test_slow_estimators_take_their_share_of_the_time_and_no_more():
    """64 estimates of 1 s would take the race's 60 s: a first turn is of 8, and all are compared."""
    torch.manual_seed(0)
    rig = Rig({"a": 1.0, "slow": 1.0, "b": 2.0, "c": 5.0}, {"slow": 1.0})
    race = rig.race()
    race.run(2)
    assert all(each.score for each in race.candidates)
    slow = next(each for each in race.candidates if each.name == "slow")
    assert 8 <= slow.replicates <= 16 and slow.state == BEATEN


def test_a_race_without_time_says_so():
    race = Rig({"a": 1.0, "b": 2.0}).race(seconds=-1.0)
    assert race.run(2) == [*race.candidates] or all(each.state == NO_TIME for each in race.candidates)
    assert all(each.state == NO_TIME for each in race.candidates)


def test_more_samples_are_not_tried_where_they_cannot_win():
    torch.manual_seed(0)
    rig = Rig({"good": 1e-3, "hopeless": 100.0})
    rig.race(samples=(2, 64)).run(2)
    assert ("hopeless", 64) not in rig.turns and ("good", 64) in rig.turns


def scored(candidate: Candidate, rows: torch.Tensor, step: float = 1e-3) -> Candidate:
    sums = TurnSums(Sketch(rows.shape[1]))
    sums.add(rows)
    candidate.add(sums.result([step] * 12))
    candidate.weigh(0.999)
    return candidate


def plain(name: str = "reinforce", samples: int = 2) -> Candidate:
    return Candidate(name, PLAIN, samples)


def test_estimates_that_do_not_vary_neither_win_nor_drop_out_until_they_are_trusted():
    silent = scored(plain("silent"), torch.ones(64, 2))
    loud = scored(plain("loud"), 1 + torch.randn(64, 2))
    eliminate([silent, loud])
    assert score_of(silent).gate and silent.state == loud.state == OPEN
    silent.trusted = True
    silent.weigh(0.999)
    eliminate([silent, loud])
    assert cheapest([silent, loud]) is silent and loud.state == BEATEN


def test_among_candidates_without_variance_the_cheaper_step_wins():
    exact = [scored(Candidate("exact", Parcel.of(get("exact")), 1), torch.ones(2, 2), step) for step in (2e-3, 1e-3)]
    eliminate(exact)
    assert [each.state for each in exact] == [BEATEN, OPEN] and decided([exact[1]])


def test_rounding_of_large_terms_is_no_variance():
    """f = 10⁴ + …: estimates of size 5,000 in float32 differ by 1e-3 through rounding alone."""
    candidate = plain()
    candidate.size, candidate.trusted = np.array([5e3, 5e3]), True
    scored(candidate, 0.2 + 1e-3 * torch.randn(64, 2, generator=torch.Generator().manual_seed(0)))
    assert score_of(candidate).variance.value == 0


def test_the_interval_of_the_variance_holds_it():
    """400 studies of 64 Normal estimates: 95 % ± 3.8 (3.5 standard errors)."""
    generator = torch.Generator().manual_seed(0)
    held = 0
    for _ in range(400):
        found = score_of(scored(plain(), torch.randn(64, 3, generator=generator))).variance
        held += found.low < 3 < found.high
    assert held / 400 == pytest.approx(0.95, abs=0.04)


def noisy(name: str, spread: float, rows: int = 4096) -> Candidate:
    generator = torch.Generator().manual_seed(len(name))
    return scored(plain(name), 1 + spread * torch.randn(rows, 2, generator=generator))


def waiting_ones(count: int) -> list[Candidate]:
    found = [plain(f"untried {i}") for i in range(count)]
    for each in found:
        each.state = NO_TIME
    return found


def still(state: str = OPEN) -> Candidate:
    found = scored(plain("still"), torch.ones(64, 2))
    found.state = state
    return found


CASES: dict[str, tuple[Callable[[], list[Candidate]], str]] = {
    "told apart": (lambda: [noisy("rloo", 1.0), noisy("reinforce", 3.0)], ""),
    "not told apart": (lambda: [noisy("rloo", 1.0, 64), noisy("reinforce", 1.05, 64)], "is not told apart from plain"),
    "one that has not varied": (
        lambda: [noisy("rloo", 1.0), noisy("reinforce", 3.0), still()],
        "have not varied so far",
    ),
    "one that has not varied and is beaten": (lambda: [noisy("rloo", 1.0), noisy("reinforce", 3.0), still(BEATEN)], ""),
    "the baseline wins": (lambda: [noisy("reinforce", 1.0), noisy("rloo", 3.0)], ""),
    "a fifth untried": (lambda: [*(noisy(f"{i}", 2.0 + i) for i in range(8)), *waiting_ones(2)], ""),
    "a third untried": (lambda: [*(noisy(f"{i}", 2.0 + i) for i in range(6)), *waiting_ones(3)], "only 6 of the 9"),
}


@pytest.mark.parametrize("made, says", CASES.values(), ids=CASES)
def test_when_an_answer_is_inconclusive(made: Callable[[], list[Candidate]], says: str):
    candidates = made()
    base = next((each for each in candidates if each.name == "reinforce"), None)
    conclusion = conclude(candidates, candidates[0], base, 10.0, 10.0)
    assert conclusion.conclusive == (not says)
    assert says in "; ".join(conclusion.reasons)
    assert conclusion.conclusive or (conclusion.seconds is None or conclusion.seconds > 10)
