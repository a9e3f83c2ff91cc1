"""Several random variables: their estimators race one variable after the other, and each one's part is measured."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from bench.advice.advisor import Advisor, Findings, Question
from bench.advice.candidate import Candidate
from bench.advice.combinations import ON_ALL, Stage
from bench.advice.conclusion import Conclusion
from bench.advice.parcel import Parcel
from bench.advice.turns import TurnResult
from bench.advice.witness import Judge
from bench.advice.workers import TaskFailed, Worker
from bench.display.terminal import rounded_up
from estimators.nested import PerVariable
from estimators.registry import get

PARTS_SHARE = 0.1
"""Of the time: what measuring each variable's part takes in the end, for the winner and for leave-one-out."""
VARIABLE_COLUMNS = [
    *("variable", "gradient", "variance", "variance_low", "variance_high", "bias_at_most"),
    *("leave_one_out", "leave_one_out_low", "leave_one_out_high"),
]


def findings_of(worker: Worker, question: Question, **more: Any) -> tuple[Findings, pd.DataFrame | None]:
    """Returns the findings, and a row for each of several random variables; None if there is only one variable.

    Coordinate descent, once through: the first variable's estimators race with a starting combination for the others,
    then the second's with the winner's (or, where that race was inconclusive, with the starting one), and so on. The
    last race compares by fresh draws. Combinations that are given race as they are.
    """
    labels = Advisor(worker, question, **more).variables()
    if not labels:
        return Advisor(worker, question, **more).answer(), None
    share = question.seconds * PARTS_SHARE
    if any(isinstance(each, PerVariable) for each in question.names or ()):
        found = Advisor(worker, replace(question, seconds=question.seconds - share), **more).answer()
    else:
        found = _one_after_the_other(worker, replace(question, seconds=question.seconds - share), labels, **more)
    return found, _by_variable(worker, found, labels, share / 2)


def _one_after_the_other(worker: Worker, question: Question, labels: Sequence[str], **more: Any) -> Findings:
    """The last of the races, one for each variable, with all candidates."""
    seconds = question.seconds / len(labels)
    stage, races = Stage(0), []
    for place in range(len(labels)):
        stage = replace(stage, place=place)
        races.append(Advisor(worker, replace(question, seconds=seconds, stage=stage), **more).answer())
        best = _best_combination(races[-1])
        if best is not None:
            stage = Stage(place, best.estimator if races[-1].conclusion.conclusive else stage.so_far, best.samples)
    return _together(races, len(labels) / (1 - PARTS_SHARE))


def _best_combination(found: Findings) -> Candidate | None:
    """The best estimator for each variable: what the next variable's race starts from."""
    ranked = [found.winner, *found.others] if found.winner else []
    return next((each for each in ranked if each.name not in ON_ALL), None)


def _together(races: Sequence[Findings], times: float) -> Findings:
    """Returns the last race with the candidates of the earlier ones, and the seconds that would do for all."""
    last = races[-1]
    known = {(each.name, each.samples) for each in last.candidates}
    every = [each for race in races[:-1] for each in race.candidates if (each.name, each.samples) not in known]
    seconds, entrants = last.conclusion.seconds, last.opening.entrants
    left_out = {name: reason for race in races for name, reason in race.opening.entrants.left_out.items()}
    return replace(
        last,
        opening=replace(last.opening, entrants=replace(entrants, left_out=left_out)),
        candidates=[*last.candidates, *every],
        conclusion=Conclusion(
            last.conclusion.reasons, None if seconds is None else rounded_up(times * seconds, unit=1.0)
        ),
    )


def _by_variable(worker: Worker, found: Findings, labels: Sequence[str], seconds: float) -> pd.DataFrame | None:
    """For each variable the length of its part of the gradient, and how noisy and biased the winner's part is."""
    winner = found.winner
    if winner is None:
        return None
    try:
        own = _parts(worker, winner.estimator, winner.samples, seconds, found)
        plain = _parts(worker, Parcel.of(get("rloo")), max(winner.samples, 2), seconds, found)
    except TaskFailed:
        return None
    rows = [_row(*each, winner, found.opening.scale) for each in zip(labels, own, plain, strict=True)]
    return pd.DataFrame(rows, columns=VARIABLE_COLUMNS)


def _parts(worker: Worker, made: Parcel, samples: int, seconds: float, found: Findings) -> list[TurnResult]:
    scale = found.opening.scale
    return worker.do("parts_of_variables", made, samples, seconds, scale, seconds=max(60.0, 10 * seconds))


def _row(label: str, own: TurnResult, plain: TurnResult, winner: Candidate, scale: float) -> dict[str, Any]:
    """A variable's part of the gradient under the winner, and its variance under leave-one-out on all variables."""
    best = _candidate(winner.estimator, winner, own)
    other = _candidate(Parcel.of(get("rloo")), winner, plain)
    row: dict[str, Any] = {"variable": label, "bias_at_most": Judge(other).agreement(best)}
    row["gradient"] = float(np.linalg.norm(own.moments.mean)) * scale
    for name, each in (("variance", best), ("leave_one_out", other)):
        found = each.variance_interval().scaled(scale**2)
        row |= {name: float(found.value), f"{name}_low": float(found.low), f"{name}_high": float(found.high)}
    return row


def _candidate(made: Parcel, winner: Candidate, result: TurnResult) -> Candidate:
    found = Candidate(made.name, made, winner.samples, winner.tolerance)
    found.add(result)
    return found
