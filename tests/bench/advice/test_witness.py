"""What the judge says of means: false alarms, true ones, and who can vouch."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Distribution, Independent, Normal, Pareto

from bench.advice.candidate import BEATEN, OPEN, Candidate
from bench.advice.differences import finite_differences
from bench.advice.own_model import own_model
from bench.advice.parcel import Parcel
from bench.advice.race import eliminate
from bench.advice.rare import rarest_outcomes
from bench.advice.turns import WIDE, Sketch, Turn, TurnResult, TurnSums
from bench.advice.witness import Judge
from estimators import get
from tests.support.own_models import workshop


def measured(shop: Any, name: str, samples: int, replicates: int, double: bool = False) -> Candidate:
    turn = Turn(Parcel.of(get(name)), samples, 1, replicates, 1e9, 1e9, double=double)
    result = shop.turn(turn)
    assert isinstance(result, TurnResult)
    candidate = Candidate(name, Parcel.of(get(name)), samples)
    candidate.add(result)
    candidate.weigh(0.95)
    return candidate


def normals(theta: torch.Tensor) -> Distribution:
    return Independent(Normal(theta, 1.0), 1)


def bits(theta: torch.Tensor) -> Distribution:
    return Independent(Bernoulli(logits=theta), 1)


def test_a_pathwise_gradient_of_a_jump_is_disqualified_though_it_is_quiet():
    shop = workshop((torch.zeros(2), normals, lambda z: (5 * (z > 0) + 0.1 * z + 0.02 * z.square()).sum(-1)))
    judge = Judge(measured(shop, "rloo", 16, 4096, double=True))
    quiet, right = measured(shop, "reparameterisation", 2, 1024), measured(shop, "reinforce", 2, 4096)
    judge(quiet)
    judge(right)
    assert quiet.state.startswith("biased here: its mean is off that of rloo by 9") and right.state == OPEN
    quiet.state = OPEN
    Judge(judge.witness, biased=True)(quiet)
    assert quiet.state == OPEN


def test_a_large_constant_in_f_puts_no_right_estimator_out():
    """10⁴ + f in float32: rounding of |f|·|score| moves every mean by more than its standard error."""
    shop = workshop((torch.tensor([0.3, -0.1]), bits, lambda z: 1e4 + z[..., 0] - 2 * z[..., 1]))
    size = measured(shop, "reinforce", 1, 64)
    assert size.moments is not None
    terms = np.sqrt(np.square(size.moments.mean) + size.moments.m2 / size.moments.count)
    judge = Judge(measured(shop, "exact", 1, 2, double=True))
    for name in ("rloo", "disarm", "exact", "reinforce"):
        each = measured(shop, name, 2, 1024)
        each.size = terms
        judge(each)
        assert each.state == OPEN, (name, each.state)


def test_an_outcome_that_hardly_occurs_is_no_bias():
    """p = 0.0025: 300 estimates hold hardly one, and before it comes the mean is off by 8 standard errors."""
    shop = workshop((torch.tensor([-6.0, 0.3]), bits, lambda z: 4 * z[..., 0] + z[..., 1]))
    rare = rarest_outcomes(shop.model, shop.sketch)
    assert rare == pytest.approx(np.array([0.002473, 1 - 0.57444]), rel=1e-3)
    judge = Judge(measured(shop, "exact", 1, 2, double=True), rare)
    for name in ("reinforce", "disarm", "ar"):
        each = measured(shop, name, 2, 300)
        judge(each)
        assert each.state == OPEN, (name, each.state)


def test_rare_outcomes_are_counted_over_data():
    x = torch.eye(3)
    shop = workshop((torch.full((3, 2), -6.0), lambda w: Independent(Bernoulli(logits=x @ w), 1), lambda z: z.sum(-1)))
    rare = rarest_outcomes(shop.model, shop.sketch)
    assert rare is not None and rare == pytest.approx(np.full(6, 3 * 0.002473), rel=1e-3)


def test_estimates_that_do_not_vary_are_trusted_where_they_are_the_gradient():
    shop = workshop((torch.tensor([0.3, -0.1]), bits, lambda z: z[..., 0] - 2 * z[..., 1]))
    judge = Judge(measured(shop, "exact", 1, 2, double=True))
    right, wrong = measured(shop, "local_expectation", 2, 64), measured(shop, "local_expectation", 2, 64)
    assert wrong.moments is not None
    wrong.moments.mean[0] += 0.1
    judge(right)
    judge(wrong)
    assert right.trusted and not right.gate
    assert not wrong.trusted and wrong.gate == "its estimates have not varied so far"


def quadratic(z: torch.Tensor) -> torch.Tensor:
    return (z.square() + z).sum(-1)


def test_trust_in_estimates_that_do_not_vary_comes_from_draws_and_lasts_through_a_few_fresh_ones():
    shop = workshop((torch.tensor([0.3, -0.1]), normals, quadratic))
    judge = Judge(measured(shop, "rloo", 16, 4096, double=True))
    few, many = measured(shop, "taylor_pathwise", 2, 64), measured(shop, "taylor_pathwise", 16, 64)
    for each in (few, many):
        judge(each)
    assert not few.trusted and few.gate and many.trusted and not many.gate
    fresh = measured(shop, "taylor_pathwise", 16, 16)
    fresh.trusted = True
    judge(fresh)
    assert fresh.trusted
    assert fresh.moments is not None
    fresh.moments.mean[0] += 1
    judge(fresh)
    assert not fresh.trusted


@pytest.mark.parametrize("f", [lambda z: z.pow(3).sum(-1), lambda z: z.exp().sum(-1), lambda z: z.sin().sum(-1)])
def test_without_variance_on_a_quadratic_is_with_variance_on_others(f: Any):
    shop = workshop((torch.tensor([0.3, -0.1]), normals, f))
    judge = Judge(measured(shop, "rloo", 16, 4096, double=True))
    each = measured(shop, "taylor_pathwise", 16, 64)
    judge(each)
    assert each.varies and not each.trusted and each.state == OPEN


def test_estimates_that_do_not_vary_and_miss_the_gradient_have_a_least_variance():
    """f jumps, so a pathwise gradient is 0: it is wrong, or has a variance of |g|² R / 20 at least."""
    shop = workshop((torch.tensor([0.3, -0.1]), normals, lambda z: 5.0 * (z > 0).sum(-1) + 0.0 * z.sum(-1)))
    judge = Judge(measured(shop, "rloo", 16, 4096, double=True))
    still = measured(shop, "reparameterisation", 2, 1024)
    judge(still)
    g = 5 * torch.distributions.Normal(0.0, 1.0).log_prob(torch.tensor([0.3, -0.1])).exp().double()
    assert still.least_variance == pytest.approx(float(g.square().sum()) * (1024 / 20 - 1), rel=0.2)
    loud = measured(shop, "rloo", 2, 4096)
    eliminate([still, loud])
    assert still.state == BEATEN and loud.state == OPEN


def pareto(theta: dict[str, torch.Tensor]) -> Distribution:
    return Independent(Pareto(theta["log_scale"].exp(), theta["log_alpha"].exp()), 1)


def test_finite_differences_stand_in_where_the_support_moves():
    """E Σ log z = Σ (log scale + 1/α): the derivative is 1 in log scale and −1/α in log α."""
    theta = {"log_scale": torch.tensor([0.2, -0.3]), "log_alpha": torch.tensor([1.6, 1.7])}
    model = own_model(theta, pareto, lambda z: z.log().sum(-1))
    torch.manual_seed(0)
    exact = np.array([1.0, 1.0, -np.exp(-1.6), -np.exp(-1.7)])
    direction = exact / np.linalg.norm(exact)
    value, error, step = finite_differences(model, direction, 0.0)
    assert value == pytest.approx(np.linalg.norm(exact), abs=8 * error + 2 * step + 1e-3)
    shop = workshop((theta, pareto, lambda z: z.log().sum(-1)))
    judge = Judge(None, slope=lambda mean: shop.finite_differences(mean, 0.0, 1.0))
    path = measured(shop, "reparameterisation", 2, 2048)
    assert "agree with it" in (judge.by_differences(path) or "")
    assert path.moments is not None
    path.moments.mean[:] *= 1.5
    assert judge.by_differences(path) is None and path.state.startswith("biased here: finite differences")


def test_a_sketch_keeps_a_bias_and_the_variance_is_that_of_all_coordinates():
    dim = 4 * WIDE
    sketch, sums = Sketch(dim), TurnSums(Sketch(dim))
    torch.manual_seed(0)
    sums.add(torch.randn(64, dim))
    assert float(np.concatenate(sums.squares).mean()) == pytest.approx(dim, rel=0.05)
    assert sums.moments.mean.shape == (WIDE,)
    off = torch.zeros(2, dim)
    off[:, 17] = 3.0
    assert float(sketch(off)[0].abs().max()) == 3.0


def test_extreme_values_of_f_are_scaled():
    """Estimates of 1e-170 have squares that vanish in float64."""
    sums = TurnSums(Sketch(2), scale=1e-170)
    torch.manual_seed(0)
    sums.add(1e-170 * torch.randn(4096, 2, dtype=torch.float64))
    assert float(sums.moments.variance.sum()) == pytest.approx(2.0, rel=0.1)


def test_a_mean_of_few_estimates_that_is_far_off_is_doubted():
    """64 estimates prove nothing against the quiet pathwise gradient of a jump, and an answer does not rest on them."""
    shop = workshop((torch.zeros(2), normals, lambda z: (5 * (z > 0) + 0.1 * z + 0.02 * z.square()).sum(-1)))
    judge = Judge(measured(shop, "rloo", 16, 1024, double=True))
    quiet, right = measured(shop, "reparameterisation", 2, 64), measured(shop, "reinforce", 2, 64)
    judge(quiet)
    assert quiet.state == OPEN
    assert (judge.doubt(quiet) or "").startswith("after 64 estimates the mean of reparameterisation is 9")
    assert judge.doubt(right) is None
