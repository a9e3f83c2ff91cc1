"""Makes an answer step by step: opens the model, lets candidates race, compares the finalists by fresh draws."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any

import numpy as np

from bench.advice.candidate import OPEN, Candidate, cheapest, score_of, times
from bench.advice.combinations import Stage
from bench.advice.conclusion import BASELINE, TOO_SLOW, Conclusion, conclude, waiting
from bench.advice.noise_parts import NoiseParts
from bench.advice.parcel import Parcel
from bench.advice.printed_code import printed_code
from bench.advice.race import ENOUGH, NO_TIME, TIE, TURN_SHARE, Race, RaceStanding, eliminate, reopen, still_open
from bench.advice.soundness import SLOW_CALL
from bench.advice.turns import FIRST_MOST, TooSlow, Turn, TurnResult
from bench.advice.witness import Judge
from bench.advice.workers import LOADING, NoAnswer, TaskFailed, Worker
from bench.advice.workshop import ModelFacts
from bench.provenance.seeds import chunk_seed
from estimators.core import Estimator
from estimators.errors import BadInput
from estimators.registry import get

OPENING = 30.0
"""Seconds that the checks of a model may take at least."""
TURN_LIMIT = 5.0
"""Seconds that a turn may take at least, before it is ended."""
CALLS_OF_A_TURN = 4
"""Calls of f that a turn may take at least: a process that is ended has to load the model again."""
LOST = 4
"""Turns in a row that may end the process before the model is given up."""
OVERTIME = 1.5
"""No turn goes on beyond so many times the seconds given."""
WITNESS_SHARE = 0.05
"""Of the time, what a turn of the witness takes."""
NOISE_SHARE = 0.1
"""Of the time, beyond the seconds given, what telling the variance of a noisy model apart takes."""
WITNESS_SAMPLES = 16
WITNESS_ENOUGH = 4096
"""Estimates of a witness from which on it has no turn before the fresh draws."""
PRECISE = 0.05
"""The width of an interval, on the log scale, at which fresh draws end."""


@dataclass(frozen=True)
class Question:
    """The question put to the race: `names` of estimators (None: all that fit), numbers of samples, the time.

    `stage`: the random variable that the race is about, if the model has several.
    """

    names: tuple[str | Estimator, ...] | None
    samples: tuple[int, ...]
    seconds: float
    biased: bool
    seed: int
    stage: Stage | None = None


@dataclass
class Findings:
    """The result: the winner (None if nothing could be measured) and the finalists compared by fresh draws."""

    opening: ModelFacts
    candidates: list[Candidate]
    judge: Judge
    winner: Candidate | None
    others: list[Candidate]
    conclusion: Conclusion
    code: str = ""
    by_differences: str | None = None
    noise_parts: NoiseParts | None = None
    elapsed: float = 0.0


@dataclass
class Advisor:
    """Requests turns from the worker and decides between candidates."""

    worker: Worker
    question: Question
    clock: Callable[[], float] = time.monotonic
    show: Callable[[RaceStanding], None] = lambda standing: None
    stage: str = "race"
    lost: int = 0
    size: np.ndarray | None = field(default=None, init=False)
    _asked_for_slopes: bool = field(default=False, init=False)
    _slopes_followed: bool | None = field(default=None, init=False)

    def answer(self) -> Findings:
        """Returns the answer. Raises BadInput for a model that is not sound, NoAnswer if its process dies."""
        self._ask("ready", seconds=LOADING)
        limit = max(OPENING, self.question.seconds)
        names, samples = self.question.names, self.question.samples
        asked = (names, samples, self.question.biased, self.question.stage, self.question.seconds)
        self.opening: ModelFacts = self._ask("open", *asked, seconds=limit)
        self.worker.remember(loop_reason=self.opening.loop_reason, double=self.opening.double)
        self.start = self.clock() - self.opening.calls * self.opening.call_seconds  # imports do not count
        candidates = self._candidates()
        judge = self._judge()
        race = Race(
            candidates, self.measure, self.clock, self.start, self.question.seconds, judge, self.show,
            self.question.seed, lambda: self._measure_witness_again(judge, candidates),
        )  # fmt: skip
        race.run(self.opening.entrants.first_samples)
        return self._finish(candidates, judge)

    def variables(self) -> tuple[str, ...]:
        """Returns the names of the model's random variables if it has several; else an empty list."""
        return self._ask("variables", seconds=LOADING)

    def left(self, share: float = 1.0) -> float:
        """Seconds until this share of the time is spent."""
        return self.start + share * self.question.seconds - self.clock()

    def measure(self, candidate: Candidate, replicates: int, seconds: float, most_seconds: float) -> None:
        """Takes one turn of a candidate; a candidate that fails is disqualified with the reason."""
        if self.left() <= 0:
            candidate.state = NO_TIME
            return
        seed = chunk_seed(
            self.question.seed, f"{candidate.name} {candidate.samples}", f"{self.stage} {candidate.replicates}"
        )
        asked = Turn(
            candidate.estimator, candidate.samples, seed, replicates, seconds, most_seconds, scale=self.opening.scale
        )
        try:
            result = self._turn(asked)
        except TaskFailed as error:
            candidate.state = f"fails: {error}"
            return
        if isinstance(result, TooSlow):
            candidate.state = f"{TOO_SLOW} {result.seconds:.2g} s"
            return
        candidate.add(result)
        if candidate.nonfinite:
            total = candidate.nonfinite + candidate.replicates
            candidate.state = f"{candidate.nonfinite} of {total} estimates are NaN or infinite"

    def _turn(self, asked: Turn) -> TurnResult | TooSlow:
        limit = max(TURN_LIMIT, 2 * (asked.seconds + asked.most_seconds), CALLS_OF_A_TURN * self.opening.call_seconds)
        limit = round(min(limit, max(self.left(OVERTIME), 1.0)), 1)
        try:
            found = self.worker.do("turn", asked, seconds=limit)
        except TaskFailed as error:
            self.lost = self.lost + 1 if error.lost else 0
            if self.lost >= LOST:
                raise NoAnswer(
                    f"{LOST} estimators in a row ended their process; the last one {error}; it is the model "
                    "that does this, not an estimator"
                ) from error
            raise
        self.lost = 0
        return found

    def _try_turn(self, asked: Turn) -> TurnResult | None:
        """Returns the result of a turn; None if it fails or is too slow, or if the time is up."""
        if self.left() <= 0 or asked.most_seconds < 2 * self.opening.call_seconds:
            return None
        with suppress(TaskFailed):
            result = self._turn(asked)
            return None if isinstance(result, TooSlow) else result
        return None

    def _ask(self, method: str, *arguments: Any, seconds: float) -> Any:
        """Runs a task before the race; a failure ends the answer with BadInput or NoAnswer."""
        try:
            return self.worker.do(method, *arguments, seconds=seconds)
        except TaskFailed as error:
            if error.lost:
                raise NoAnswer(f"the process in which the model was loaded and checked {error}") from error
            raise BadInput(f"the model cannot be measured: {error}") from error

    def _candidates(self) -> list[Candidate]:
        found = [
            Candidate(entrant.name, entrant.estimator, n, self.opening.tolerance)
            for entrant in self.opening.entrants.racing
            for n in entrant.samples
        ]
        if self.opening.entrants.density:
            self.size = self._sizes()
        for each in found:
            each.size = self.size
        return found

    def _sizes(self) -> np.ndarray | None:
        """Returns the size of |f|·|score| per coordinate, from a few score-function estimates."""
        seconds = 0.03 * self.question.seconds
        asked = Turn(
            Parcel.of(get(BASELINE)), 1, self.question.seed, FIRST_MOST, seconds, seconds, scale=self.opening.scale
        )
        result = self._try_turn(asked)
        if result is None or not result.moments.count:
            return None
        return np.sqrt(np.square(result.moments.mean) + result.moments.m2 / result.moments.count)

    def _judge(self) -> Judge:
        """Returns the judge with the best available witness: enumeration if possible, else a score function."""
        entrants = self.opening.entrants
        judge = Judge(None, self.opening.rare, self.question.biased, self._slope, self._follows)
        for name, fits in (("exact", entrants.density and self.opening.few_values), ("rloo", entrants.density)):
            if not fits:
                continue
            samples = 1 if name == "exact" else WITNESS_SAMPLES
            judge.witness = Candidate(name, Parcel.of(get(name)), samples, self.opening.tolerance, self.size)
            if self._measure_witness(judge):
                return judge
        judge.witness = None
        return judge

    def _measure_witness(self, judge: Judge) -> bool:
        """Takes a turn of the witness; returns whether the witness could be measured."""
        witness = judge.witness
        if witness is None or (witness.estimator.exact and witness.replicates):
            return witness is not None
        seconds = WITNESS_SHARE * self.question.seconds
        replicates = 2 if witness.estimator.exact else 4 * max(witness.replicates, FIRST_MOST)
        seed = chunk_seed(self.question.seed, "witness", witness.replicates)
        asked = Turn(
            witness.estimator,
            witness.samples,
            seed,
            replicates,
            seconds,
            seconds,
            double=True,
            scale=self.opening.scale,
        )
        result = self._try_turn(asked)
        if result is None or result.nonfinite:
            return witness.replicates > 0
        witness.add(result)
        return True

    def _follows(self) -> bool | None:
        """Whether f rises between draws as its slopes say, computed once; None if f is too slow or fails."""
        if not self._asked_for_slopes and self.left() > 0 and self.opening.call_seconds <= SLOW_CALL:
            self._asked_for_slopes = True
            seconds = WITNESS_SHARE * self.question.seconds
            with suppress(TaskFailed):
                self._slopes_followed = self.worker.do(
                    "follows_its_slopes", seconds, seconds=max(TURN_LIMIT, 4 * seconds)
                )
        return self._slopes_followed

    def _measure_witness_again(self, judge: Judge, candidates: Sequence[Candidate]) -> None:
        """Takes another turn of the witness, which may then confirm estimates that have not varied."""
        self._measure_witness(judge)
        for each in candidates:
            if each.waits_for_trust:
                judge(each)
        eliminate(candidates)

    def _settle_unvaried(self, judge: Judge, candidates: Sequence[Candidate]) -> None:
        """Takes turns of the witness and of candidates whose estimates have not varied, before the winner is chosen.

        Such a candidate beats all others if it is right, so the time is best spent on it.
        """
        measured = -1
        while judge.witness is not None and measured < judge.witness.replicates < WITNESS_ENOUGH and self.left() > 0:
            still = [each for each in candidates if each.waits_for_trust]
            if not still:
                return
            measured = judge.witness.replicates
            for each in still:
                if each.replicates * each.samples < ENOUGH and self.left() > 0:
                    seconds = self.left() / (4 * len(still))
                    self.measure(
                        each, ceil(ENOUGH / each.samples) - each.replicates, seconds, TURN_SHARE * self.question.seconds
                    )
                    each.weigh(0.999)
            self._measure_witness_again(judge, candidates)

    def _noise_parts(self, winner: Candidate) -> NoiseParts | None:
        """Splits the winner's variance on a noisy model into its parts; None if that fails."""
        seconds = NOISE_SHARE * self.question.seconds
        seed = chunk_seed(self.question.seed, winner.name, "noise")
        asked = Turn(winner.estimator, winner.samples, seed, ENOUGH, seconds, seconds, scale=self.opening.scale)
        with suppress(TaskFailed):
            return self.worker.do("variance_parts", asked, seconds=max(TURN_LIMIT, 4 * seconds))
        return None

    def _slope(self, direction: np.ndarray) -> tuple[float, float, float] | None:
        """Returns finite differences of E f along a direction of θ; None if P is too large, f fails or time is up."""
        if self.opening.dim != len(direction) or self.left() <= 0:
            return None
        seconds = 2 * WITNESS_SHARE * self.question.seconds
        try:
            return self.worker.do(
                "finite_differences", direction, seconds, self.opening.scale, seconds=max(TURN_LIMIT, 4 * seconds)
            )
        except TaskFailed:
            return None

    def _finish(self, candidates: list[Candidate], judge: Judge) -> Findings:
        """Compares the winner with the finalists by fresh draws; a winner that proves biased is replaced."""
        self.stage = "final"
        self._settle_unvaried(judge, candidates)
        while True:
            winner = cheapest([each for each in still_open(candidates) if each.score])
            if winner is None:
                return self._nothing(candidates, judge)
            if not self._runs(winner):
                reopen(candidates)
                eliminate(candidates)
                continue
            if judge.witness is not None and judge.witness.replicates < WITNESS_ENOUGH:
                self._measure_witness(judge)
            finalists = self._finalists(candidates, winner)
            self._fresh_draws(finalists)
            judge(winner)
            unheard = judge.witness is None or (not winner.varies and judge.testimony() is None)
            said = judge.by_differences(winner) if unheard and winner.state == OPEN else None
            if winner.state == OPEN:
                break
            for each in finalists:
                if each.score is None:
                    each.weigh(0.95)
            reopen(candidates)
            eliminate(candidates)
        scored = [each for each in finalists if each.sound and each.score]
        first = self._smallest(scored)
        if first is not winner and not self._runs(first):
            first = winner
        others = sorted((each for each in scored if each.name != first.name), key=lambda each: score_of(each).key)
        base = next((each for each in others if each.name == BASELINE), None)
        shown = [*others[:1], *([base] if base and base not in others[:1] else [])]
        elapsed = self.clock() - self.start
        doubt = judge.doubt(first)
        conclusion = conclude(candidates, first, base, self.question.seconds, elapsed, doubt=doubt)
        code = self._code(first)
        parts = self._noise_parts(first) if self.opening.noise else None
        return Findings(self.opening, candidates, judge, first, shown, conclusion, code, said, parts, elapsed)

    def _smallest(self, scored: list[Candidate]) -> Candidate:
        """Returns the cheapest finalist by fresh draws; among equally good numbers of samples, the smallest.

        Among equals without variance, exact enumeration comes first: its correctness needs no confirmation.
        """
        first = cheapest([each for each in scored if each.state == OPEN]) or scored[0]
        if not score_of(first).variance.value:
            equal = [each for each in scored if each.state == OPEN and _no_worse(each, first)]
            first = next((each for each in equal if each.estimator.exact), first)
        own = [each for each in scored if each.name == first.name and each.state == OPEN]
        equal = [each for each in own if not score_of(each).gate and _no_worse(each, first)]
        return min([*equal, first], key=lambda each: each.samples)

    def _finalists(self, candidates: Sequence[Candidate], winner: Candidate) -> list[Candidate]:
        """Returns the winner, its smallest n that is as good, the runner-up, and the cheapest plain baseline."""
        scored = [each for each in candidates if each.score and each.sound]
        own = [each for each in scored if each.name == winner.name and each.state == OPEN and _no_worse(each, winner)]
        smallest = min(own, key=lambda each: each.samples, default=winner)
        runner_up = cheapest([each for each in scored if each.name != winner.name])
        base = cheapest([each for each in scored if each.name == BASELINE])
        return [*dict.fromkeys(each for each in (winner, smallest, runner_up, base) if each is not None)]

    def _fresh_draws(self, finalists: list[Candidate]) -> None:
        """Takes turns in rotation, so that drift affects all alike, until they are distinguished or time is up."""
        number = 0
        fresh = {each: replace(each, moments=None, squares=[], costs=[], score=None, state=OPEN) for each in finalists}
        while number < 2 or (self.left() > 0 and not _settled([*fresh.values()])):
            for each in fresh.values():
                seconds = max(self.left(), 0.0) / (len(finalists) * max(4 - number, 1))
                wanted = max(FIRST_MOST * 2**number - each.replicates, 8)
                if each.state == OPEN:
                    self.measure(each, wanted, seconds, max(self.left() / 2, 0.02 * self.question.seconds))
                if each.state == OPEN:
                    each.weigh(0.95)
            if self.left() <= 0:
                break
            number += 1
        for each, new in fresh.items():
            if new.score is not None and (new.state == OPEN or waiting(new)):
                each.moments, each.squares, each.costs, each.score = new.moments, new.squares, new.costs, new.score
            elif not waiting(new):  # without time for fresh draws, the result of the race stands
                each.state = new.state

    def _code(self, candidate: Candidate) -> str:
        made = candidate.estimator
        return printed_code(made.code, made.fit_steps, candidate.samples, self.opening.spelling)

    def _runs(self, candidate: Candidate) -> bool:
        """Whether the candidate's printed code runs on the user's objects; if not, it is disqualified."""
        code = self._code(candidate)
        try:
            reason = self.worker.do("try_code", code, seconds=max(TURN_LIMIT, self.question.seconds))
        except TaskFailed as error:
            reason = f"the code to use it fails: {error}"
        if reason:
            candidate.state = reason
        return not reason

    def _nothing(self, candidates: list[Candidate], judge: Judge) -> Findings:
        """Returns the findings when no estimator could be measured, for lack of time or because each fails."""
        elapsed = self.clock() - self.start
        slow = [each for each in candidates if waiting(each)]
        if not slow:
            said = "; ".join([*dict.fromkeys(f"{each.name} {each.state}" for each in candidates)][:3])
            error = NoAnswer if self.lost else BadInput
            raise error(f"no estimator could be measured on this model: {said}")
        names = len({each.name for each in candidates})
        conclusion = Conclusion(
            ("no estimator could be measured in the time given",),
            max(8 * names * elapsed / 4, 4 * self.question.seconds),
        )
        return Findings(self.opening, candidates, judge, None, [], conclusion, elapsed=elapsed)


def _no_worse(each: Candidate, best: Candidate) -> bool:
    """Whether a candidate is as good as the best one, up to `TIE`."""
    if not score_of(best).variance.value:
        own, other = score_of(each), score_of(best)
        return not own.variance.value and not own.gate and own.step.value <= (1 + TIE) * other.step.value
    return bool(times(each, best).value <= 1 + TIE)


def _settled(finalists: list[Candidate]) -> bool:
    """Whether the first finalist is distinguished from the others, or known to be as good."""
    first, *others = finalists
    if first.score is None or any(each.score is None for each in others if each.sound):
        return False
    if not score_of(first).variance.value:
        return True
    if first.replicates < ENOUGH:
        return False
    apart = [times(each, first) for each in others if each.sound]
    return all(
        found.low > 1
        or (found.high < 1 + TIE and found.low > 1 / (1 + TIE))
        or np.log(found.high / found.low) < PRECISE
        for found in apart
    )
