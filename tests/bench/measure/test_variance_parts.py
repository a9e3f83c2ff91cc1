"""The variance of noisy estimates told apart, against closed forms."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import bench.objectives.minibatch as minibatch
import estimators
from bench.data.datasets import diabetes
from bench.distributions import distributions
from bench.distributions.base import Family
from bench.measure.accuracy.accuracy import measure_accuracy
from bench.measure.accuracy.stopping import AccuracySettings
from bench.measure.estimates.gradients import Gradients
from bench.measure.estimates.prepared import Execution
from bench.objectives import objectives
from bench.objectives.base import Target
from bench.problems.exact import RUNGS, climb, reference
from bench.problems.problem import Problem
from bench.problems.theta import as_vector
from bench.statistics.shared_part import shared_part
from bench.tables.metrics import Measurement
from bench.validation.checks.problems import check_differentiability, check_function
from estimators.checks.failure import CheckFailed
from estimators.core import Function, Objective
from estimators.tools.noise_of_f import NoiseSource

SETTINGS = AccuracySettings(precision=0.03, max_replicates=8192)
REGRESSION = {"family": distributions.get("normal", size=10), "objective": objectives.get("linear_regression")}
VAE = {
    "family": distributions.get("bernoulli_encoder", size=3, batch=5),
    "objective": objectives.get("digits_vae"),
    "coordinates": "unconstrained",
    "point": "start",
}


def measured(problem: Problem, name: str, samples: int, **changes: Any) -> dict[tuple[str, str], Measurement]:
    """The rows by metric and block."""
    execution = Execution(**({"cell_id": "cell", "seed": 0} | changes))
    found = measure_accuracy(problem, estimators.get(name), samples, SETTINGS, reference(problem), execution=execution)
    assert found.verdict != "biased"
    return {(row.metric, row.block): row for row in found.measurements}


def errors_off(row: Measurement, truth: float) -> float:
    """How many standard errors a row is off; its interval is two-sided with 95 %."""
    assert row.value is not None and row.ci_low is not None and row.ci_high is not None
    return abs(row.value - truth) / max((row.ci_high - row.ci_low) / 2 / 1.96, 1e-12 * abs(truth))


def regression(m: int) -> Problem:
    return Problem(**REGRESSION, point="start", minibatch=m)


def regression_truths(m: int, n: int) -> dict[tuple[str, str], float]:
    """The parts of the pathwise gradient of the linear regression's bound at q = N(0, I), z = ε.

    With a subset S of m of the N patients, a = N/m Σ x y/σ², H = I + N/m Σ x xᵀ/σ² and n draws, the estimate is the
    mean over draws of a − Hε for the location, and of ε ∘ (a − Hε) + 1 for the log scale. Its mean given S is a, and
    1 − diag H. Given the draws alone, a and H are those of all data. N/m times a sum over a subset has the covariance
    N² (1 − m/N)/m times that of its terms (sampling without replacement). Per draw, a − Hε has the variance ‖H‖², and
    ε_d (a_d − Σ_j H_dj ε_j) the variance a_d² + Σ_j H_dj² + H_dd².
    """
    x, y = diabetes()
    precision = 1 / objectives.get("linear_regression").noise ** 2  # type: ignore[attr-defined]
    size = len(y)
    a, h = x.T @ y * precision, torch.eye(x.shape[1]) + x.T @ x * precision
    factor = size**2 * (1 - m / size) / m
    a_noise = factor * (x * y[:, None] * precision).var(0)
    h_noise = factor * (x[:, :, None] * x[:, None, :] * precision).var(0)
    draws = {"loc": h.square().sum() / n, "log_scale": spread_of_scale(a.square(), h.square()) / n}
    data = {"loc": a_noise.sum(), "log_scale": h_noise.diagonal().sum()}
    given = {
        "loc": (h.square() + h_noise).sum() / n,
        "log_scale": spread_of_scale(a.square() + a_noise, h.square() + h_noise) / n,
    }
    truths = {}
    for block in ("loc", "log_scale"):
        truths["variance_of_draws", block] = float(draws[block])
        truths["variance_of_data", block] = float(data[block])
        truths["variance", block] = float(given[block] + data[block])
    whole = {(metric, "all"): 0.0 for metric, _ in truths}
    for (metric, _), value in truths.items():
        whole[metric, "all"] += value
    return truths | whole


def spread_of_scale(a_square: Tensor, h_square: Tensor) -> Tensor:
    return a_square.sum() + h_square.sum() + h_square.diagonal().sum()


@pytest.mark.parametrize(("m", "n"), [(5, 4), (40, 1)])
def test_the_parts_on_the_linear_regression_are_the_closed_forms(m, n):
    found = measured(regression(m), "reparameterisation", n)
    for key, truth in regression_truths(m, n).items():
        assert errors_off(found[key], truth) < 5.5, (key, found[key], truth)


def test_more_draws_leave_the_part_of_the_data_and_a_larger_batch_that_of_the_draws():
    few, many = regression_truths(20, 1), regression_truths(20, 100)
    assert many["variance_of_data", "all"] == few["variance_of_data", "all"]
    assert regression_truths(442, 1)["variance_of_draws", "all"] == few["variance_of_draws", "all"]
    total = few["variance", "all"]
    assert total > few["variance_of_data", "all"] + few["variance_of_draws", "all"]


def test_triples_that_share_no_data_are_rejected(monkeypatch):
    """The closed form has power: a source that gives each estimate other data says that the data have no part."""

    class Forgetful(NoiseSource):
        def __call__(self, action, device=None):
            return action()

    monkeypatch.setattr("bench.measure.accuracy.variance_parts.NoiseSource", Forgetful)
    found = measured(regression(5), "reparameterisation", 4)
    assert errors_off(found["variance_of_data", "all"], regression_truths(5, 4)["variance_of_data", "all"]) > 8


def test_subsets_that_replicates_share_are_rejected(monkeypatch):
    def same_for_all(replicates, data, size, device):
        return torch.rand((1, data), device=device).topk(size, -1).indices.expand(replicates, size)

    monkeypatch.setattr(minibatch, "subsets", same_for_all)
    execution = Execution("cell", 0)
    found = measure_accuracy(
        regression(5), estimators.get("reparameterisation"), 4, SETTINGS, reference(regression(5)),
        execution=execution,
    )  # fmt: skip
    assert found.verdict == "unclear" and "independent" in found.reason, found.reason


def test_an_exact_sum_over_draws_leaves_the_variance_of_the_images():
    """With `exact` the estimate is the mean over m images of each image's exact gradient."""
    found = measured(Problem(**VAE, minibatch=2), "exact", 1)
    alone = Gradients(Problem(**VAE), estimators.get("exact"), 1)
    theta = alone.problem.theta()

    def of_image(i: int) -> Tensor:
        def value(theta):
            parameters = alone.problem.encode(theta)
            bounds = alone.problem.objective.expectation(alone.problem.family, "start", parameters)
            assert bounds is not None
            return bounds[i]

        return as_vector(torch.func.grad(value)(theta))

    each = torch.stack([of_image(i) for i in range(5)])
    truth = float((1 - 2 / 5) / 2 * each.var(0).sum())
    for metric in ("variance", "variance_of_data"):
        assert errors_off(found[metric, "all"], truth) < 5.5
    assert found["variance_of_draws", "all"].ci_low == 0
    assert errors_off(found["variance_of_draws", "all"], 0.0) < 5.5


@dataclass(frozen=True)
class NoisyBits(Target):
    """Σ z + `noise` · ε, with ε ~ N(0, 1) at every call and draw."""

    name = "noisy_bits"
    used_by = "these tests"
    noise: float = 2.0

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        f = Function(lambda z: z.sum(-1) + self.noise * torch.randn_like(z[..., 0]), differentiable=False)
        f.noisy = True
        return f

    def expectation(self, family: Family, point: str, parameters: dict[str, Tensor], level: int = 0) -> Tensor:
        return parameters["logits"].sigmoid().sum(-1)


def test_the_noise_of_a_simulator_is_told_from_its_draws():
    """REINFORCE's noise has the variance σ² p(1 − p) per bit and draw; without it, the variance is that of f alone."""
    problem = Problem(distributions.get("bernoulli", size=3), NoisyBits())
    found = measured(problem, "reinforce", 4)
    probs = problem.encode(problem.theta())["logits"].sigmoid()
    noise = 4 * float((probs * (1 - probs)).sum()) / 4
    z = torch.cartesian_prod(*(torch.tensor([0.0, 1.0], dtype=torch.float64) for _ in range(3)))
    weight = (z * probs + (1 - z) * (1 - probs)).prod(-1, keepdim=True)
    term = z.sum(-1, keepdim=True) * (z - probs)
    alone = float(((weight * term.square()).sum(0) - (weight * term).sum(0).square()).sum()) / 4
    assert errors_off(found["variance_of_draws", "all"], alone) < 5.5
    assert errors_off(found["variance", "all"], alone + noise) < 5.5
    assert ("variance_of_data", "all") not in found


def test_an_exact_sum_is_refused_where_f_draws_noise_and_runs_on_minibatches():
    noisy = Gradients(Problem(distributions.get("bernoulli", size=3), NoisyBits()), estimators.get("exact"), 1)
    assert "an objective without noise" in str(noisy.offer.unmet(noisy.estimator, 1))
    assert (
        Gradients(Problem(**VAE, minibatch=2), estimators.get("exact"), 1).offer.unmet(estimators.get("exact"), 1)
        is None
    )


@pytest.mark.parametrize(("declared", "passes"), [(True, True), (False, False)])
def test_the_checks_of_objectives_accept_noise_that_is_declared(declared, passes):
    @dataclass(frozen=True)
    class Bits(NoisyBits):
        def build(self, family: Family, point: str, like: Tensor) -> Objective:
            f = super().build(family, point, like)
            f.noisy = declared
            return f

    problem = Problem(distributions.get("bernoulli", size=3), Bits())
    if passes:
        check_function(problem, 0)
        check_differentiability(problem, 0)
        assert [method for method, rung in RUNGS.items() if climb(problem, rung, method)] == ["closed form"]
    else:
        with pytest.raises(CheckFailed, match="or declared `noisy`"):
            check_function(problem, 0)


def test_a_deterministic_problem_has_no_parts():
    problem = Problem(distributions.get("bernoulli", size=3), objectives.get("quadratic_bits"))
    assert not {metric for metric, _ in measured(problem, "rloo", 2)} & {"variance_of_data", "variance_of_draws"}


def test_an_estimate_far_below_zero_does_not_claim_that_the_part_is_zero():
    """`reinforce` on the linear regression had an interval from 0 to 0, with a true part of 3e4 beside 2e9."""
    products = np.random.default_rng(0).normal(0.0, 1.0, 10_000)
    plain = shared_part(products + 1.0)
    far = shared_part(products - 0.1)  # 10 standard errors below 0
    assert far.value == far.low == 0 and far.high == pytest.approx((plain.high - plain.value) / 2, rel=0.02)
    assert far.high == pytest.approx(0.0098, rel=0.1)
