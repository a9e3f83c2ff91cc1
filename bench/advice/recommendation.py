"""`bench.recommend`: which estimator to use for a user's own model, and how many samples."""

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd

from bench.advice.advisor import Findings, Question
from bench.advice.by_variable import findings_of
from bench.advice.candidate import Candidate, score_of
from bench.advice.conclusion import BASELINE
from bench.advice.cost import COSTS, StepCost, unit_of
from bench.advice.model_file import NEEDED
from bench.advice.own_model import require_known_noise
from bench.advice.race import RaceStanding
from bench.advice.wording import by_variable, headline, noise, road, trust, undecided
from bench.advice.workers import Worker, WorkerProcess
from bench.advice.workshop import ModelSource
from bench.display.notebook import InNotebooks
from bench.isolation.child import refuse_inside
from bench.statistics.interval import Interval
from bench.tables.writing import replace_text
from estimators.core import Estimator
from estimators.deprecation import renamed
from estimators.errors import BadInput, nearest

SAMPLES = (1, 2, 4, 16, 64)


@dataclass(frozen=True)
class Recommendation(InNotebooks):
    """The answer of `recommend`.

    `sentence` and `code` say it in words and in Python. `conclusive` is False where too little was compared or the
    winner is not told apart from plain REINFORCE; `seconds_needed` would do then, where a number can be named.
    `estimator` is None where nothing could be measured. `road`: "loop" or "batched". `unit`: that of `step`.

    `table` has a row for each estimator at each number of samples, cheapest first: variance, cost of a step, their
    product, and `relative`, the product ÷ that of plain REINFORCE, with the ends of 95 % intervals; `bias_at_most` says
    how far its mean may be from a witness's, relative to the gradient. The first rows (`final`) come from fresh draws
    after the race. `left_out`: other estimators, and why.

    `variables`: None unless the model has several random variables; then a row for each of them: the length of its part
    of the gradient, the variance of that part under the winner and under leave-one-out on all variables at once
    (`leave_one_out`), with the ends of 95 % intervals, and `bias_at_most` as above.

    `noise`: on a noisy model, the shares of the winner's variance, each with its 95 % interval: of the `draws` (left
    without noise) and, where all draws of a step see the same noise, of the `data` (left with any number of draws); the
    rest shrinks with either. Empty without noise.
    """

    sentence: str
    code: str
    estimator: str | None
    samples: int | None
    conclusive: bool
    seconds_needed: float | None
    road: str
    unit: str
    table: pd.DataFrame = field(repr=False)
    left_out: dict[str, str] = field(repr=False)
    variables: pd.DataFrame | None = field(default=None, repr=False)
    noise: dict[str, dict[str, float]] = field(default_factory=dict, repr=False)

    def to_json(self) -> str:
        """Returns the whole answer as JSON; NaN becomes null."""
        tables = {"table": self.table, "variables": self.variables}
        rows = {
            name: None if each is None else json.loads(each.to_json(orient="records") or "[]")
            for name, each in tables.items()
        }
        return json.dumps(vars(self) | rows, indent=1)

    def save(self, folder: str | Path) -> Path:
        """Writes `recommendation.json`, `candidates.csv` and `use.py` into a folder, which is created if missing.

        Several random variables have a table in `variables.csv`.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        replace_text(folder / "recommendation.json", self.to_json() + "\n")
        replace_text(folder / "candidates.csv", self.table.to_csv(index=False))
        if self.variables is not None:
            replace_text(folder / "variables.csv", self.variables.to_csv(index=False))
        replace_text(folder / "use.py", self.code + "\n")
        return folder

    def __rich__(self) -> object:
        from bench.advice.recommendation_view import recommendation_view

        return recommendation_view(self)


@renamed("plugins", "plugin", until="0.3")
def recommend(
    path: str | Path | None = None,
    *,
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
) -> Recommendation:
    """The estimator with the least variance per unit of cost on a user's own model, found within about `seconds`.

    The model is a file that defines `parameters`, `distribution` and `objective`, or these three as arguments. The
    gradient in question is that of the mean over q's batch axes of E f.

    Args:
        path: A Python file that defines parameters, distribution and objective; it may import modules beside it.
        parameters: θ: a tensor, a dict of tensors by name, or an nn.Module.
        distribution: θ → a torch distribution, whose batch axes run over data; it is given θ in its own form.
            For several random variables, a list of distributions, or a dict by name: see `estimators.Joint`.
        objective: f: a function of z, or of z and q, whose values keep z's leading axes; or an `estimators.Objective`.
            Values of any type are cast; f may be a black box, such as one in numpy.
        estimators: Names (or, in Python, instances) of the estimators that race. Default: all that fit.
        seconds: How long to measure. Imports do not count.
        biased: Let biased estimators race, too. Default: an estimator whose mean differs from the gradient is
            disqualified.
        samples: Numbers of samples per estimate that are tried.
        cost: What a step costs: "seconds"; "calls" of f; or a function of the draws z that f is asked at, whose
            values are added up (generated tokens).
        noisy: When f draws its own noise: "call" (at every call, as a simulator does; True means the same) or "step"
            (all calls of a training step see the same noise, such as a minibatch). Default: what the file or f says.
        seed: Seed of all draws.
        plugin: Python file that registers plug-ins; several are allowed.
        isolate: Whether the model runs in a separate process, with a time limit and a memory limit.
        show: Called with the progress of the race.

    Returns:
        The answer; `conclusive` says whether it is one.

    Raises:
        BadInput: what is wrong with the model or an argument, in a sentence.
        NoAnswer: the model ends its process, or never returns.
    """
    refuse_inside("bench.recommend")
    question = question_of(estimators, samples, seconds, biased, seed)
    source = model_source(path, (parameters, distribution, objective), plugin, cost, noisy)
    if not isolate:
        from bench.advice.workers import WorkerHere

        return recommend_with(WorkerHere(source), question, cost, show=show)
    with closing(WorkerProcess(source)) as worker:
        return recommend_with(worker, question, cost, show=show)


def question_of(
    estimators: Sequence[str | Estimator] | None, samples: Sequence[int], seconds: float, biased: bool, seed: int
) -> Question:
    """Returns the checked question."""
    if not (np.isfinite(seconds) and seconds > 0):
        raise BadInput(f"seconds must be above 0, found {seconds:g}")
    return Question(_names(estimators), _whole(samples), seconds, biased, seed)


def recommend_with(worker: Worker, question: Question, cost: StepCost = "seconds", **more: Any) -> Recommendation:
    """Returns the recommendation, with a worker that has the model."""
    answer, variables = findings_of(worker, question, **more)
    found = recommendation_of(answer, unit_of(cost))
    sentence = " ".join(filter(None, [found.sentence, by_variable(variables, answer.winner)]))
    return replace(found, sentence=sentence, variables=variables)


def model_source(
    path: str | Path | None,
    objects: tuple[Any, Any, Any] = (None, None, None),
    plugin: str | Path | Iterable[str | Path] = (),
    cost: StepCost = "seconds",
    noisy: bool | str | None = None,
) -> ModelSource:
    """Returns the origin of the model, a file or three objects. Raises BadInput for both, or neither."""
    given = dict(zip(NEEDED, objects, strict=True))
    missing = [name for name, value in given.items() if value is None]
    if path is None and missing:
        raise BadInput(f"a model is a file, or parameters, distribution and objective; {missing[0]!r} is not given")
    if path is not None and len(missing) < len(given):
        raise BadInput("a model is a file, or parameters, distribution and objective, not both")
    if isinstance(cost, str) and cost not in COSTS:
        raise BadInput(f"cost must be 'seconds', 'calls' or a function of z, found {cost!r}; {nearest(cost, COSTS)}")
    require_known_noise(noisy, (path and str(path)) or "the model")
    files = tuple(map(str, [plugin] if isinstance(plugin, str | Path) else plugin))
    packed = cost if isinstance(cost, str) else ByCloudpickle(cost)
    if path is not None:
        return ModelSource(str(path), None, files, packed, noisy)
    return ModelSource(None, ByCloudpickle(objects), files, packed, noisy)


class ByCloudpickle:
    """An object that is sent as bytes of cloudpickle, so that functions of a notebook reach another process."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpacked, (cloudpickle.dumps(self.value),)


def _unpacked(packed: bytes) -> ByCloudpickle:
    return ByCloudpickle(cloudpickle.loads(packed))


def _names(given: Sequence[str | Estimator] | None) -> tuple[str | Estimator, ...] | None:
    """Returns the estimators asked for. Raises BadInput with the nearest valid name."""
    if given is None:
        return None
    if isinstance(given, str) or not given:
        raise BadInput(f"estimators must be a list of names, found {given!r}")
    return tuple(given)


def _whole(samples: Sequence[int]) -> tuple[int, ...]:
    if not samples or not all(isinstance(n, int | np.integer) and n >= 1 for n in samples):
        raise BadInput(f"samples must be whole numbers of at least 1, found {', '.join(map(str, samples)) or 'none'}")
    return tuple(sorted({int(n) for n in samples}))


def recommendation_of(answer: Findings, unit: str) -> Recommendation:
    """The answer in words and as a table."""
    opening, winner, conclusion = answer.opening, answer.winner, answer.conclusion
    table, shares = table_of(answer), noise_shares(answer)
    if winner is None:
        enough = f"about {conclusion.seconds:.0f} s would do" if conclusion.seconds else "no time would do"
        sentence = " ".join([f"Inconclusive: {'; '.join(conclusion.reasons)}; {enough}.", *opening.notes])
    else:
        finalists = [winner, *answer.others]
        sentence = " ".join(filter(None, [
            headline(winner, answer.others, unit, conclusion),
            undecided(answer.candidates, winner, finalists),
            trust(winner, answer.judge, answer.by_differences),
            noise(shares, answer.noise_parts),
            road(opening.loop_reason),
            *opening.notes,
        ]))  # fmt: skip
    return Recommendation(
        sentence, answer.code, winner.name if winner else None, winner.samples if winner else None,
        conclusion.conclusive, conclusion.seconds, "batched" if opening.loop_reason is None else "loop", unit, table,
        dict(opening.entrants.left_out), noise={name: each._asdict() for name, each in shares.items()},
    )  # fmt: skip


def noise_shares(answer: Findings) -> dict[str, Interval]:
    """The shares of the winner's variance that are of the draws and of the data; empty without noise."""
    parts, winner = answer.noise_parts, answer.winner
    if parts is None or winner is None or not score_of(winner).variance.value:
        return {}
    found = {"draws": parts.draws, "data": parts.data}
    variance = score_of(winner).variance
    return {name: share_of(each, variance) for name, each in found.items() if each is not None}


def share_of(part: Interval, variance: Interval) -> Interval:
    """A part as a share of the variance, at most 1; its interval is that of the part, which is the wider one."""
    return Interval(*(float(min(end / variance.value, 1.0)) for end in part))


def table_of(answer: Findings) -> pd.DataFrame:
    """A row per candidate: finalists first, then those that were measured by their cost, then the others."""
    finalists = [*([answer.winner] if answer.winner else []), *answer.others]
    base = next((each for each in finalists if each.name == BASELINE), None)
    rows = [_row(each, finalists, base, answer) for each in answer.candidates]
    frame = pd.DataFrame(rows, columns=CANDIDATE_COLUMNS)
    return frame.sort_values(
        ["final", "product", "step"], ascending=[False, True, True], kind="stable", ignore_index=True
    )


INTERVAL_ENDS = {"": "value", "_low": "low", "_high": "high"}
CANDIDATE_COLUMNS = [
    *("estimator", "samples", "state", "final"),
    *(f"{name}{end}" for name in ("variance", "step", "product", "relative") for end in INTERVAL_ENDS),
    *("replicates", "fit_cost", "bias_at_most"),
]


def _row(each: Candidate, finalists: Sequence[Candidate], base: Candidate | None, answer: Findings) -> dict[str, Any]:
    row: dict[str, Any] = {"estimator": each.name, "samples": each.samples, "state": each.state}
    row |= {"final": each in finalists, "fit_cost": each.fit_cost, "replicates": each.replicates}
    if each.score is None:
        return row
    score, scale = score_of(each), answer.opening.scale
    row["bias_at_most"] = answer.judge.agreement(each) if each.replicates > 1 else None
    square = scale**2 if 1e-150 < scale < 1e150 else 1.0  # a scale beyond this range: variances are those of f ÷ scale
    found = {"variance": score.variance.scaled(square), "step": score.step, "product": score.product.scaled(square)}
    found["relative"] = score.product.over(score_of(base).product) if base else Interval.exact(np.nan)
    ends = {f"{name}{end}": getattr(found[name], field) for name in found for end, field in INTERVAL_ENDS.items()}
    return row | {name: float(value) for name, value in ends.items()}
