"""Antithetic draws: each half has q's distribution, and only what survives their dependence is let in."""

import pytest
import torch
from torch.distributions import Independent, Laplace, OneHotCategorical, StudentT

import estimators
from estimators import BadInput, Estimator, Function, Need, Traits, unmet
from estimators.antithetic import Antithetic, Mirrored
from estimators.baselines import MovingAverage
from tests.support.cases import (
    CASES,
    EXTREME,
    FULL,
    GAUSSIAN,
    LOGITS,
    bits,
    build_full_normal,
    build_normal,
    double,
    exact,
    of_bits,
    single,
)
from tests.support.exactness import assert_biased, assert_unbiased, enough, estimates

SYMMETRIC = [name for name, case in CASES.items() if case[0] in (bits, build_normal, build_full_normal)]


class Reparameterised(Estimator):
    """The pathwise estimator, in a line."""

    traits = Traits(unbiased=True, needs=frozenset({Need.REPARAMETERISED}))

    def surrogate(self, q, f, n):
        return f(q.rsample((n,)), q).mean(0)


@pytest.mark.parametrize("case", SYMMETRIC)
@pytest.mark.parametrize("inner", ["reinforce", "muprop", "self_critical"])
def test_unbiased(inner, case):
    wrapper = estimators.get("antithetic", inner={"name": inner})
    sample = enough(wrapper, *CASES[case], 4, 300_000 if case == "extreme_bits" else 100_000)
    assert_unbiased(sample, exact(case))


@pytest.mark.parametrize("case", ["normal", "full_normal"])
def test_reparameterised_draws_stay_differentiable(case):
    assert_unbiased(enough(Antithetic(Reparameterised()), *CASES[case], 2, 60_000), exact(case))


def test_float32():
    sample = enough(Antithetic(), *single(CASES["bits"], torch.float32), 2, 100_000)
    assert_unbiased(sample.double(), exact("bits"))


def test_constant_on_a_quadratic_in_the_mean():
    """Fact 28: the pairs' mean is the mean, so f′ at it is the gradient in loc."""
    f = Function(lambda z: (z - 0.3).square().sum(-1))
    sample = estimates(Antithetic(Reparameterised()), build_normal, GAUSSIAN, f, 2, 100)
    exact_loc = 2 * (GAUSSIAN["loc"] - 0.3)
    torch.testing.assert_close(sample[:, :2], exact_loc.expand(100, 2))


def test_what_needs_independent_draws_is_refused_because_it_would_be_biased():
    with pytest.raises(BadInput, match="independent draws"):
        estimators.get("antithetic", inner={"name": "rloo"})

    class Forced(Antithetic):
        def __post_init__(self):
            pass

    assert_biased(estimates(Forced(estimators.get("rloo")), *CASES["normal"], 4, 100_000), exact("normal"))


def test_an_inner_that_is_not_fitted_is_refused():
    with pytest.raises(BadInput, match="fit"):
        Antithetic(MovingAverage())
    fitted = MovingAverage().frozen({"baseline": double(2.0).squeeze()})
    assert_unbiased(enough(Antithetic(fitted), *CASES["bits"], 2, 100_000), exact("bits"))
    assert not Antithetic(fitted).traits.fitted


def test_noise_that_cannot_be_mirrored_is_refused():
    with pytest.raises(BadInput, match="noise of its own"):
        Antithetic(estimators.get("exact")).surrogate(bits(**LOGITS), Function(of_bits), 2)
    q = OneHotCategorical(logits=torch.zeros(3))
    assert "mirrored" in str(unmet(Antithetic(), q, Function(lambda z: z[..., 0]), 2))
    assert "groups of 2" in str(unmet(Antithetic(), bits(**LOGITS), Function(of_bits), 3))


@pytest.mark.parametrize(
    "q",
    [
        build_normal(**GAUSSIAN),
        build_full_normal(**FULL),
        Independent(Laplace(double(0.3, -1.0), double(1.0, 0.2)), 1),
        Independent(StudentT(double(3.0, 5.0), double(0.3, -1.0), double(1.0, 0.2)), 1),
    ],
)
def test_a_pair_averages_to_the_location(q):
    z = Mirrored(q).sample((6,))
    location = q.base_dist.loc if isinstance(q, Independent) else q.loc
    torch.testing.assert_close((z[:3] + z[3:]) / 2, location.expand(3, 2))


@pytest.mark.parametrize("parameters", [LOGITS, EXTREME])
def test_mirrored_bits_have_the_right_marginals_and_differ_as_often_as_they_can(parameters):
    torch.manual_seed(0)
    q = bits(**parameters)
    first, second = Mirrored(q).sample((400_000,)).chunk(2)
    p = parameters["logits"].sigmoid()
    for half in (first, second):
        assert torch.all((half.mean(0) - p).abs() < 5.5 * (p * (1 - p) / 200_000).sqrt())
    apart = 2 * torch.minimum(p, 1 - p)
    error = (apart * (1 - apart) / 200_000).sqrt()
    assert torch.all(((first != second).double().mean(0) - apart).abs() < 5.5 * error)
