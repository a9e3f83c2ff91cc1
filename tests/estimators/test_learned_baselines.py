"""NVIL and LAX: unbiased whatever was learned, and learned towards less variance."""

import pytest
import torch

import estimators
from estimators import Function
from estimators.learned_baselines import Lax, Nvil, by_score_and_path, features
from estimators.tools.learned import apply, least_variance, network
from tests.support.cases import (
    CASES,
    CONTINUOUS,
    GAUSSIAN,
    LOGITS,
    bits,
    build_normal,
    double,
    exact,
    of_bits,
    of_line,
    single,
)
from tests.support.exactness import assert_biased, assert_unbiased, enough, estimates


def arbitrary(inputs):
    """A network that is not zero and not fitted to anything."""
    torch.manual_seed(3)
    return {name: 0.5 * torch.randn_like(value) for name, value in network(inputs, double(0.0)).items()}


def fitted(estimator, case, steps=150, n=2):
    build, parameters, f = CASES[case]
    torch.manual_seed(0)
    return estimator.fit(
        build(**{name: value.expand(200, *value.shape) for name, value in parameters.items()}), f, n, steps
    )


@pytest.mark.parametrize("case", CASES)
def test_nvil_is_unbiased_with_any_baseline(case):
    inputs = features(CASES[case][0](**CASES[case][1])).shape[-1]
    sample = enough(Nvil().frozen(arbitrary(inputs)), *CASES[case], 2, 400_000 if case == "extreme_bits" else 150_000)
    assert_unbiased(sample, exact(case))


@pytest.mark.parametrize("case", CONTINUOUS)
def test_lax_is_unbiased_with_any_network(case):
    assert_unbiased(enough(Lax().frozen(arbitrary(2)), *CASES[case], 2, 150_000), exact(case))


def test_lax_is_unbiased_on_a_step():
    f = Function(lambda z: (z > 0.2).to(z).sum(-1), differentiable=False)
    parameters = {"loc": double(0.6), "scale": double(0.7)}
    a = (0.6 - 0.2) / 0.7
    density = torch.distributions.Normal(0.0, 1.0).log_prob(double(a)).exp() / 0.7
    truth = torch.cat([density, -a * density])
    assert_unbiased(enough(Lax().frozen(arbitrary(1)), build_normal, parameters, f, 2, 200_000), truth)


@pytest.mark.parametrize(("estimator", "case"), [(Nvil(), "bits"), (Lax(), "normal")])
def test_float32(estimator, case):
    build, parameters, f = single(CASES[case], torch.float32)
    torch.manual_seed(0)
    ready = estimator.fit(build(**parameters), f, 2, 20)
    assert_unbiased(enough(ready, build, parameters, f, 2, 200_000).double(), exact(case))


@pytest.mark.parametrize(("estimator", "case"), [(Nvil(), "bits"), (Lax(), "normal")])
def test_fitting_halves_the_variance_at_least_and_keeps_the_mean(estimator, case):
    ready = fitted(estimator, case)
    after = enough(ready, *CASES[case], 2, 100_000)
    before = estimates(estimators.get("reinforce"), *CASES[case], 2, 100_000)
    assert_unbiased(after, exact(case))
    assert after.var(0).sum() < 0.5 * before.var(0).sum()
    assert fitted(estimator, case) == ready  # from the seed


def test_nvil_normalised_is_off_by_the_deviation_alone():
    """The same draws, the same direction, 1/deviation of the size; and a deviation below 1 is left at 1."""
    plain, scaled = fitted(Nvil(), "bits", steps=50), fitted(Nvil(normalise=True), "bits", steps=50)
    assert scaled.state
    deviation = scaled.state["deviation"]
    build, parameters, f = CASES["bits"]
    q = build(**parameters)
    seen = (f(q.sample((100_000,)), q) - plain.baseline(q)).square().mean().sqrt()
    assert deviation > 1 and abs(float(deviation / seen) - 1) < 0.03
    one, other = (estimates(ready, build, parameters, f, 2, 100_000) for ready in (plain, scaled))
    torch.testing.assert_close(other, one / deviation)
    assert_biased(other, exact("bits"))
    assert not scaled.traits.unbiased
    small = estimators.Function(lambda z: 0.1 * of_bits(z))
    torch.manual_seed(0)
    ready = Nvil(normalise=True).fit(build(**parameters), small, 4, 20)
    assert ready.state and ready.state["deviation"] == 1


def test_unfitted_is_reinforce():
    plain, nvil = (estimates(estimator, *CASES["bits"], 2, 10) for estimator in (estimators.get("reinforce"), Nvil()))
    torch.testing.assert_close(nvil, plain)
    build, parameters, f = CASES["normal"]
    lax, zero = (
        estimates(ready, build, parameters, f, 2, 10) for ready in (Lax(), Lax().frozen(network(2, double(0.0))))
    )
    torch.testing.assert_close(lax, zero)


def test_the_gradient_of_the_variance_by_finite_differences():
    """Holding the result instead of the parameters would give it the wrong sign."""
    f, weights = Function(of_line), arbitrary(2)

    def squared(weights):
        torch.manual_seed(0)

        def total(values):
            return by_score_and_path(build_normal(**values), f, 64, weights)

        return sum(g.square().sum() for g in torch.func.grad(total)(GAUSSIAN).values())

    seen = torch.func.grad(squared)(weights)
    for name in ("slope", "out"):
        step = torch.zeros_like(weights[name])
        step[0] = 1e-5
        up, down = (squared(weights | {name: weights[name] + sign * step}) for sign in (1, -1))
        assert float((up - down) / 2e-5) == pytest.approx(float(seen[name][0]), rel=1e-5)


def test_adam_moves_every_weight_and_leaves_the_input_alone():
    weights = network(2, double(0.0))
    before = {name: value.clone() for name, value in weights.items()}
    after = least_variance(
        lambda q, w: by_score_and_path(q, Function(of_line), 8, w), build_normal(**GAUSSIAN), weights, steps=5
    )
    for name, value in weights.items():
        assert torch.equal(value, before[name])
        assert not torch.equal(value, after[name])
    assert apply(after, torch.ones(4, 2, dtype=torch.float64)).shape == (4,)


def test_a_fitted_estimator_serves_other_batches():
    ready = fitted(Nvil(), "bits", steps=3)
    value = ready.surrogate(bits(LOGITS["logits"].expand(2, 5, 3)), CASES["bits"][2], 4)
    assert value.shape == (2, 5)
