"""Recommendations in this process, timed by the processor's clock; a model of ten lines, and those of examples/."""

import re
from pathlib import Path
from time import process_time
from typing import Any

from bench.advice.advisor import Question
from bench.advice.recommendation import SAMPLES, Recommendation, model_source, recommend_with
from bench.advice.workers import WorkerHere
from bench.advice.workshop import Workshop
from estimators import Estimator

EXAMPLES = [
    path
    for path in sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
    if re.search(r"^(def objective|objective\b)", path.read_text(encoding="utf-8"), re.MULTILINE)
]
"""The files of examples/ that are models for `gradest recommend`; the others are scripts."""

TEN_LINES = """
    import torch
    from torch.distributions import Bernoulli, Independent
    parameters = torch.zeros(4)
    def distribution(logits):
        return Independent(Bernoulli(logits=logits), 1)
    def objective(z):
        return (z.sum(-1) - 1.3).square()
"""


def source_of(model: Any, cost: Any = "seconds") -> Any:
    """The source of a model that is a path, or (parameters, distribution, objective)."""
    if isinstance(model, str | Path):
        return model_source(model, cost=cost)
    return model_source(None, model, cost=cost)


def advice(
    model: Any,
    seconds: float = 2.0,
    samples: tuple[int, ...] = SAMPLES,
    *,
    names: tuple[str | Estimator, ...] | None = None,
    biased: bool = False,
    cost: Any = "seconds",
) -> Recommendation:
    """The recommendation; the caller patches the stopwatch."""
    question = Question(names, samples, seconds, biased, 0)
    return recommend_with(WorkerHere(source_of(model, cost)), question, cost, clock=process_time)


def workshop(model: Any) -> Workshop:
    """The workshop of a model, on the road that it chooses."""
    shop = Workshop(source_of(model))
    shop.choose_road(0.0)
    return shop
