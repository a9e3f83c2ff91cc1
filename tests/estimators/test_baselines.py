"""Baselines: unbiased (or biased by exactly as much as theory says), and the variances that theory gives."""

import dataclasses
import pickle

import pytest
import torch

import estimators
from estimators import BadInput, Fitted, Function
from estimators.baselines import MovingAverage, OptimalCoefficient, others_mean, scores
from estimators.tools.parameters import linear, parameters
from tests.support.cases import CASES, LOGITS, bits, build_normal, double, exact, of_bits, single
from tests.support.exactness import assert_biased, assert_unbiased, enough, estimates

UNBIASED = ["moving_average", "independent_baseline", "self_critical", "optimal_coefficient"]


def made(name, case, n, **settings):
    """The estimator, fitted on the case if it is one to fit."""
    estimator = estimators.get(name, **settings)
    if not isinstance(estimator, Fitted):
        return estimator
    torch.manual_seed(1)
    build, parameters, f = case
    return estimator.fit(build(**parameters), f, n, 30)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", UNBIASED)
def test_unbiased(name, case):
    replicates = 400_000 if case == "extreme_bits" else 100_000
    sample = enough(made(name, CASES[case], 4), *CASES[case], 4, replicates)
    assert_unbiased(sample, exact(case))


@pytest.mark.parametrize("case", ["bits", "normal", "full_normal"])
def test_scalar_coefficient_is_unbiased(case):
    sample = enough(OptimalCoefficient(per_coordinate=False), *CASES[case], 3, 100_000)
    assert_unbiased(sample, exact(case))


@pytest.mark.parametrize("name", [*UNBIASED, "group_mean"])
def test_float32(name):
    case = single(CASES["bits"], torch.float32)
    sample = enough(made(name, case, 4), *case, 4, 100_000)
    assert sample.dtype == torch.float32
    expected = exact("bits") * (0.75 if name == "group_mean" else 1)
    assert_unbiased(sample.double(), expected)


@pytest.mark.parametrize("n", [2, 5])
def test_group_mean_shrinks_by_one_over_n(n):
    sample = estimates(estimators.get("group_mean"), *CASES["bits"], n, 100_000)
    assert_biased(sample, exact("bits"))
    assert_unbiased(sample, (1 - 1 / n) * exact("bits"))


@pytest.mark.parametrize("case", ["bits", "normal"])
def test_dividing_by_the_deviation_biases(case):
    """The mean is that of group_mean with each group scaled by 1/std: not along the gradient, nor of its size."""
    sample = estimates(estimators.get("grpo"), *CASES[case], 4, 100_000)
    assert_biased(sample, exact(case))
    scale = sample.mean(0) @ exact(case) / exact(case).square().sum()
    assert_biased(sample, scale * exact(case), z=5)


def test_two_draws_in_a_group_count_by_sign_alone():
    """At K = 2 the coefficients are ±1/√2 whatever the difference: exact by enumeration of pairs on one bit."""
    f, p = Function(lambda z: 5 * z.sum(-1)), double(0.4).sigmoid().item()
    sample = enough(estimators.get("grpo"), bits, {"logits": double(0.4)}, f, 2, 100_000)
    assert_unbiased(sample, double(p * (1 - p) / 2**0.5), resolution=0.02)


def test_leave_one_out_is_group_mean_scaled_draw_by_draw():
    group, rloo = (estimates(estimators.get(name), *CASES["bits"], 4, 50) for name in ("group_mean", "rloo"))
    torch.testing.assert_close(rloo, 4 / 3 * group)


def test_in_sample_coefficient_would_be_biased():
    """The defect that leaving draw k out avoids, so that the test above is known to see it."""

    class InSample(OptimalCoefficient):
        def surrogate(self, q, f, n):
            z = q.sample((n,))
            value, score = f.held(z, q), scores(q, z)["logits"]
            c = (value.unsqueeze(-1) * score.square()).sum(0) / score.square().sum(0)
            return linear(((value.unsqueeze(-1) - c) * score).mean(0), parameters(q)["logits"], q)

    assert_biased(estimates(InSample(), *CASES["bits"], 3, 100_000), exact("bits"))


def variance(estimator, f, logit, n=1, replicates=400_000):
    sample = estimates(estimator, bits, {"logits": double(logit)}, f, n, replicates, seed=3)
    return float(sample.var()), float(((sample - sample.mean()) ** 4).mean() / sample.var() ** 2)


@pytest.mark.parametrize(("logit", "published"), [(0.0, 0.0159391), (-1.0, 0.0149344), (2.0, 0.0048272)])
def test_variance_of_reinforce_on_one_bit(logit, published):
    """Fact 1: p(1−p)[(1−p) f₁ + p f₀]²."""
    p, f1, f0 = double(logit).sigmoid().item(), 0.55**2, 0.45**2
    assert p * (1 - p) * ((1 - p) * f1 + p * f0) ** 2 == pytest.approx(published, abs=5e-7)  # 7 decimals
    found, kurtosis = variance(estimators.get("reinforce"), Function(lambda z: (z - 0.45).square().sum(-1)), logit)
    assert abs(found / published - 1) < 5.5 * ((kurtosis - 1) / 400_000) ** 0.5 + 1e-4


def test_the_best_constant_baseline_has_no_variance_on_one_bit():
    """Fact 2: the constant (1−p) f₁ + p f₀; the estimated coefficient is it, once both values were seen."""
    p = double(0.7).sigmoid()
    best = MovingAverage().frozen({"baseline": (1 - p) * 0.55**2 + p * 0.45**2})
    found, _ = variance(best, Function(lambda z: (z - 0.45).square().sum(-1)), 0.7, replicates=1000)
    assert found < 1e-30


def test_variance_of_leave_one_out_on_one_bit():
    """Facts 6 and 7: Δ²[μ₄ − (K−3)/(K−1) q²]/K with μ₄ = q(1−3q)."""
    f = Function(lambda z: (z - 0.3).square().sum(-1))
    p = double(0.5).sigmoid().item()
    q, delta, K = p * (1 - p), 0.7**2 - 0.3**2, 5
    truth = delta**2 * (q * (1 - 3 * q) - (K - 3) / (K - 1) * q * q) / K
    found, kurtosis = variance(estimators.get("rloo"), f, 0.5, K)
    assert abs(found / truth - 1) < 5.5 * ((kurtosis - 1) / 400_000) ** 0.5


def test_baselines_on_a_gaussian_quadratic():
    """Facts 21 and 22, per draw: mean baseline 8a²+10s² and 40a²+56s², the optimal one 8a²+6s² and 40a²+24s²."""
    a, s, f = 0.8, 0.6, Function(lambda z: z.square().sum(-1))
    at = {"loc": double(a), "scale": double(s)}
    mean = MovingAverage().frozen({"baseline": double(a * a + s * s).squeeze()})
    expected = {
        "reinforce": (a**4 / s**2 + 14 * a * a + 15 * s * s, 2 * a**4 / s**2 + 60 * a * a + 74 * s * s),
        "mean": (8 * a * a + 10 * s * s, 40 * a * a + 56 * s * s),
        "optimal": (8 * a * a + 6 * s * s, 40 * a * a + 24 * s * s),
    }
    named = {"reinforce": (estimators.get("reinforce"), 1, 400_000), "mean": (mean, 1, 400_000)}
    named["optimal"] = (estimators.get("optimal_coefficient"), 400, 4_000)  # many draws: c is at its optimum
    for name, (estimator, n, replicates) in named.items():
        sample = estimates(estimator, build_normal, at, f, n, replicates, seed=4)
        kurtosis = ((sample - sample.mean(0)) ** 4).mean(0) / sample.var(0) ** 2
        ratio = n * sample.var(0) / double(*expected[name])
        slack = 0.03 if name == "optimal" else 0  # c itself is estimated from 399 draws: O(1/K)
        assert torch.all((ratio - 1).abs() < 5.5 * ((kurtosis - 1) / replicates).sqrt() + slack), name


def test_moving_average_is_debiased_once_and_frozen():
    fitted = MovingAverage(decay=0.9).fit(bits(**LOGITS), Function(lambda z: 0 * z[..., 0] + 3), 2, 5)
    assert fitted.state is not None
    assert fitted.state["baseline"].item() == pytest.approx(3.0)
    assert fitted != MovingAverage(decay=0.9)
    again = pickle.loads(pickle.dumps(fitted))
    assert again == fitted
    assert hash(again) == hash(fitted)
    assert dataclasses.replace(fitted, decay=0.5) != fitted


def test_the_same_seed_fits_the_same():
    def fitted():
        torch.manual_seed(7)
        return MovingAverage().fit(bits(**LOGITS), Function(of_bits), 2, 20)

    assert fitted() == fitted()


def test_bad_settings():
    with pytest.raises(BadInput, match="decay"):
        estimators.get("moving_average", decay=1.0)
    with pytest.raises(BadInput, match="state"):
        estimators.get("moving_average", state={})


def test_others_mean_is_exact_when_one_weight_dominates():
    value, weight = torch.tensor([5.0, 1.0, 3.0]), torch.tensor([1e9, 1.0, 1.0])
    assert others_mean(value, weight)[0] == 2  # total − own would give rounding noise here
    assert others_mean(value, torch.zeros(3)).tolist() == [0, 0, 0]
