"""`bench.trajectory`: the best estimator at the start of a training need not be the best one later."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bench.advice.advisor import Question
from bench.advice.cost import StepCost
from bench.advice.printed_code import name_with_settings
from bench.advice.race import RaceStanding
from bench.advice.recommendation import SAMPLES, Recommendation, model_source, question_of, recommend_with
from bench.advice.training import OptimiserOf, Stretch
from bench.advice.workers import TaskFailed, Worker, WorkerHere, WorkerProcess
from bench.display.notebook import InNotebooks
from bench.isolation.child import refuse_inside
from bench.statistics.interval import Interval
from bench.tables.writing import replace_text
from estimators.core import Estimator
from estimators.errors import BadInput

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAINING_TIME = 86400.0
"""Seconds that a stretch of training may take."""


@dataclass(frozen=True)
class TrainingAdvice(InNotebooks):
    """The answers along a training.

    `answers`: a `Recommendation` for each training step that was looked at. `table`: their tables one below the other,
    with the column `at`, the training step. `sentence`: the winners, and where the winner changes. `trained_by`: the
    estimator that trained.
    """

    sentence: str
    answers: Mapping[int, Recommendation] = field(repr=False)
    table: pd.DataFrame = field(repr=False)
    trained_by: str = ""

    @property
    def conclusive(self) -> bool:
        return all(each.conclusive for each in self.answers.values())

    def figure(self) -> "Figure":
        """Variance × cost of the estimators that led, at each step that was looked at."""
        from bench.advice.trajectory_figure import trajectory_figure

        return trajectory_figure(self.table, self.winners(), next(iter(self.answers.values())).unit)

    def to_json(self) -> str:
        """The sentence and each answer as JSON."""
        answers = {str(at): json.loads(each.to_json()) for at, each in self.answers.items()}
        return json.dumps({"sentence": self.sentence, "trained_by": self.trained_by, "answers": answers}, indent=1)

    def winners(self) -> dict[int, str]:
        """The estimator to use at each step that was looked at."""
        return {at: each.estimator for at, each in self.answers.items() if each.estimator}

    def save(self, folder: str | Path) -> Path:
        """Writes `trajectory.csv`, `trajectory.svg` and each answer as JSON into a folder."""
        from bench.plots.style import save

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        replace_text(folder / "trajectory.csv", self.table.to_csv(index=False))
        save(self.figure(), folder / "trajectory.svg")
        for at, each in self.answers.items():
            replace_text(folder / f"step-{at}.json", each.to_json() + "\n")
        return folder

    def __rich__(self) -> object:
        from bench.advice.trajectory_figure import trajectory_view

        return trajectory_view(self)


def trajectory(
    path: str | Path | None = None,
    *,
    steps: int,
    points: int | Sequence[int] = 3,
    trained_by: str | Estimator = "rloo",
    training_samples: int = 4,
    optimiser: OptimiserOf = "adam",
    learning_rate: float = 0.01,
    maximise: bool | None = None,
    parameters: Any = None,
    distribution: Callable[[Any], Any] | None = None,
    objective: Any = None,
    estimators: Sequence[str | Estimator] | None = None,
    seconds: float = 60.0,
    biased: bool = False,
    samples: Sequence[int] = SAMPLES,
    cost: StepCost = "seconds",
    noisy: bool | str | None = None,
    seed: int = 0,
    plugin: str | Path | Iterable[str | Path] = (),
    isolate: bool = True,
    show: Callable[[RaceStanding], None] = lambda standing: None,
) -> TrainingAdvice:
    """Trains the user's model and recommends an estimator at its start, in its middle and at its end.

    The model and the other arguments are those of `bench.recommend`.

    Args:
        steps: Training steps in all.
        points: How many training steps are looked at, the first and the last among them; or which.
        trained_by: The estimator that trains.
        training_samples: Its number of samples.
        optimiser: "adam", "adamw", "rmsprop", "sgd", or a function of parameters that gives an optimiser of torch.
        learning_rate: Of a named optimiser.
        maximise: Whether E f is made large. Default: where f is a bound on the evidence.
        seconds: How long to measure at each point.

    Raises:
        BadInput: as `bench.recommend`; or the training makes a parameter infinite.
    """
    refuse_inside("bench.trajectory")
    question = question_of(estimators, samples, seconds, biased, seed)
    looked_at = _points(steps, points)
    stretch = Stretch(trained_by, training_samples, 0, optimiser, learning_rate, maximise)
    source = model_source(path, (parameters, distribution, objective), plugin, cost, noisy)
    with closing(WorkerProcess(source) if isolate else WorkerHere(source)) as worker:
        return answers_along(worker, question, looked_at, stretch, cost=cost, show=show)


def answers_along(
    worker: Worker, question: Question, looked_at: Sequence[int], stretch: Stretch, **more: Any
) -> TrainingAdvice:
    """Returns the answers at these training steps, with a worker that has the model."""
    answers: dict[int, Recommendation] = {}
    for before, at in pairwise([0, *looked_at]):
        if at > before:
            worker.remember(theta=_trained(worker, stretch, at - before))
        answers[at] = recommend_with(worker, question, **more)
    table = pd.concat([each.table.assign(at=at) for at, each in answers.items()], ignore_index=True)
    trainer = stretch.estimator
    name = trainer if isinstance(trainer, str) else name_with_settings(trainer)
    return TrainingAdvice(_sentence(answers), answers, table, name)


def _trained(worker: Worker, stretch: Stretch, steps: int) -> Any:
    try:
        return worker.do("train", replace(stretch, steps=steps), seconds=TRAINING_TIME)
    except TaskFailed as error:
        raise BadInput(f"the model cannot be trained: {error}") from error


def _points(steps: int, points: int | Sequence[int]) -> list[int]:
    """Returns the training steps at which a recommendation is made."""
    if steps < 1:
        raise BadInput(f"steps must be at least 1, found {steps}")
    if isinstance(points, int):
        if points < 2:
            raise BadInput(f"points must be at least 2 (the start and the end), found {points}")
        return sorted({round(each) for each in np.linspace(0, steps, points)})
    found = sorted({int(each) for each in points})
    if not found or found[0] < 0 or found[-1] > steps:
        raise BadInput(f"points must lie between 0 and {steps} training steps, found {list(points)}")
    return found


def _sentence(answers: Mapping[int, Recommendation]) -> str:
    """Returns the sentence: the winners in turn, and where the winner changes."""
    said = [
        f"At step {at}: {each.estimator} with n = {each.samples}{'' if each.conclusive else ' (inconclusive)'}."
        if each.estimator
        else f"At step {at}: {each.sentence}"
        for at, each in answers.items()
    ]
    for (_, old), (at, new) in pairwise(answers.items()):
        if old.estimator and new.estimator and old.estimator != new.estimator:
            said.append(_handed_over(old.estimator, at, new))
    return " ".join(said)


def _handed_over(before: str, at: int, new: Recommendation) -> str:
    """Says how the winner of the previous point compares here."""
    own, other = (_best(new.table, name) for name in (new.estimator, before))
    if other is None or own is None:
        return f"By step {at} {new.estimator} takes over from {before}, which was not measured there."
    found = other.over(own)
    ends = f"(95 % interval {found.low:.3g} to {found.high:.3g})"
    if found.low <= 1:
        return f"By step {at} {new.estimator} and {before} are not told apart: {found.value:.3g} times {ends}."
    return f"By step {at} {new.estimator} takes over: {before} has {found.value:.3g} times {ends} its variance × cost."


def _best(table: pd.DataFrame, name: str | None) -> Interval | None:
    """The least variance × cost of an estimator in a table."""
    rows = table[(table["estimator"] == name) & table["product"].notna()]
    if rows.empty:
        return None
    first = rows.sort_values(["final", "product"], ascending=[False, True]).iloc[0]
    return Interval(*(float(first[f"product{end}"]) for end in ("", "_low", "_high")))
