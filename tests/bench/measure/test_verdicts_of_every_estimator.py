"""No verdict contradicts an estimator's own claim, on problems where verdicts were false: rare events, and g = 0."""

from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch

import estimators
from bench.distributions import distributions
from bench.measure.accuracy.accuracy import measure_accuracy
from bench.measure.accuracy.stopping import AccuracySettings
from bench.measure.estimates.prepared import Execution
from bench.objectives import objectives
from bench.objectives.base import Target
from bench.problems.exact import Reference, reference
from bench.problems.problem import Problem
from bench.tables.metrics import Outcome
from estimators.needs import Offer, unmet_samples


def outcome(
    problem: Problem, name: str, replicates: int, dtype: torch.dtype, exact: Reference | None = None
) -> Outcome:
    estimator = estimators.get(name)
    if hasattr(estimator, "steps"):
        estimator = replace(estimator, steps=5)  # pyright: ignore[reportArgumentType]
    execution = Execution(cell_id="cell", seed=0, dtype=dtype)
    settings = AccuracySettings(max_replicates=replicates)
    return measure_accuracy(problem, estimator, draws(name), settings, exact or reference(problem), execution=execution)


def draws(name: str) -> int:
    return next(n for n in (2, 1, 4, 6) if unmet_samples(estimators.get(name).traits, n) is None)


@cache
def fitting(problem: Problem) -> list[str]:
    q = problem.build(problem.encode(problem.theta()))
    offer = Offer(q, problem.function(next(iter(problem.theta().values()))))
    return [name for name in estimators.available() if offer.unmet(estimators.get(name), draws(name)) is None]


@dataclass(frozen=True)
class AllOn(Target):
    """1 where all bits are 1."""

    name = "all_on"
    used_by = "these tests"

    def value(self, z: torch.Tensor) -> torch.Tensor:
        return z.prod(-1)


def all_on() -> tuple[Problem, Reference]:
    """24 bits, P = 1e-8: ∂/∂φ_d of Π p is Π p (1 − p_d)."""
    problem = Problem(distributions.get("bernoulli", size=24), AllOn())
    p = problem.theta()["logits"].sigmoid()
    return problem, Reference({"logits": p.prod() * (1 - p)}, {"logits": 0 * p}, "closed form")


LINE = {
    f"step at {at:g}": Problem(distributions.get("normal", size=1), objectives.get("step", at=at)) for at in (3.0, 5.0)
} | {
    f"call at {strike:g}": Problem(
        distributions.get("black_scholes", size=1), objectives.get("european_call", strike=strike)
    )
    for strike in (300.0, 350.0)
}
RARE = [("step at 5", name) for name in fitting(LINE["step at 5"])]
MORE = [(problem, name) for problem in LINE for name in fitting(LINE[problem]) if (problem, name) not in RARE]


def unbiased(name: str) -> bool:
    return estimators.get(name).traits.unbiased


@pytest.mark.parametrize(
    ("problem", "name"),
    [
        pytest.param(problem, name, marks=[] if (problem, name) in RARE else pytest.mark.slow)
        for problem, name in RARE + MORE
        if unbiased(name)
    ],
)
def test_an_event_that_has_not_come_up_makes_no_unbiased_estimator_biased(problem, name):
    assert outcome(LINE[problem], name, 4096, torch.float64).verdict != "biased"


@pytest.mark.parametrize("name", [name for name in fitting(all_on()[0]) if unbiased(name)])
def test_a_value_of_many_bits_that_has_not_come_up_makes_no_unbiased_estimator_biased(name):
    problem, exact = all_on()
    found = outcome(problem, name, 2048, torch.float64, exact)
    assert found.verdict != "biased", found.reason


ZERO = Problem(distributions.get("bernoulli", size=3), objectives.get("quadratic_bits", t=0.5))
NO_BIAS_HERE = dict.fromkeys(
    ("group_mean", "grpo", "off_policy_clipped"), "f is 0.25 in each bit, and less a mean over the draws it is 0"
) | {
    "reinmax": "exact on every quadratic f",
    "foust": "the mean of f' over its uniform noise is f(1) − f(0), which is 0 (4e6 estimates: below 0.0005)",
}
"""Estimators that are biased in general and not where this g is 0, with the reason."""


@pytest.mark.parametrize(
    "dtype", [torch.float32, pytest.param(torch.float64, marks=pytest.mark.slow)], ids=["float32", "float64"]
)
@pytest.mark.parametrize("name", fitting(ZERO))
def test_where_the_gradient_is_zero_no_verdict_contradicts_the_claim(name, dtype):
    found = outcome(ZERO, name, 8192, dtype)
    wrong = "biased" if unbiased(name) or name in NO_BIAS_HERE else "unbiased"
    assert found.verdict != wrong, found.reason
