"""Zeroth order: evolution strategies of the smoothed objective, differences in the pathwise chain."""

import pytest
import torch
from torch.distributions import Independent, Laplace

import estimators
from estimators import BadInput, Function, unmet
from estimators.tools import coordinates
from tests.support.cases import CASES, GAUSSIAN, build_normal, double, exact, integrated, location_normal, single
from tests.support.exactness import assert_biased, assert_unbiased, enough, estimates

UNBIASED = ["evolution_strategy", "antithetic_evolution_strategy", "smoothing"]
DIFFERENCES = ["spsa", "finite_differences"]
QUARTIC = Function(lambda z: z.pow(4).sum(-1))
QUADRATIC = Function(lambda z: (z[..., 0] - 2 * z[..., 1]).square() + z[..., 1])


@pytest.mark.parametrize("name", UNBIASED)
def test_evolution_strategies_are_unbiased(name):
    assert_unbiased(enough(estimators.get(name), *CASES["location_normal"], 4, 100_000), exact("location_normal"))


@pytest.mark.parametrize("name", UNBIASED)
def test_evolution_strategies_on_a_step_in_float32(name):
    """E 1{z₀ > .2} in μ: the density of z₀ at .2; f has no gradient at all."""
    step = Function(lambda z: (z[..., 0] > 0.2).to(z), differentiable=False)
    parameters = {"loc": GAUSSIAN["loc"].float()}
    density = location_normal(GAUSSIAN["loc"]).base_dist.log_prob(double(0.2, 0.2)).exp()  # type: ignore[attr-defined]
    truth = torch.stack([density[0], torch.zeros_like(density[0])])
    sample = estimates(estimators.get(name), location_normal, parameters, step, 4, 100_000).double()
    assert_unbiased(sample, truth)


def test_smoothing_by_other_noise():
    class LocationLaplace(Laplace):
        learns = ("loc",)

    def build(loc):
        return Independent(LocationLaplace(loc, torch.full_like(loc, 0.8), validate_args=False), 1, validate_args=False)

    f = Function(lambda z: z.square().sum(-1) + z[..., 0] * z[..., 1])
    loc = double(0.5, -0.3)
    sample = enough(estimators.get("smoothing"), build, {"loc": loc}, f, 4, 100_000)
    assert_unbiased(sample, 2 * loc + loc.flip(0))


def test_total_variance_of_antithetic_strategies_and_spsa():
    """Fact 38, on a linear f with gradient g: (d + 1)‖g‖² and (d − 1)‖g‖² per pair."""
    g = torch.linspace(-1, 2, 5, dtype=torch.float64)
    f, loc = Function(lambda z: z @ g), {"loc": torch.zeros(5, dtype=torch.float64)}
    replicates = 100_000
    for name, n, factor in [("antithetic_evolution_strategy", 2, None), ("spsa", 1, 4)]:
        sample = estimates(estimators.get(name), location_normal, loc, f, n, replicates)
        if factor is None:  # Σ_d σ_d-weighted: E (g·σε)² ε_d²/σ_d² − g_d² = Σ_j g_j²σ_j²/σ_d² + g_d²
            scale = torch.linspace(0.7, 1.1, 5, dtype=torch.float64)
            truth = (((g * scale).square().sum() / scale.square()) + g.square()).sum()
        else:
            truth = factor * g.square().sum()
        squared = (sample - sample.mean(0)).square().sum(1)
        assert (squared.mean() - truth).abs() < 5.5 * squared.std() / replicates**0.5


def test_ranks_bias_and_see_only_the_order():
    ranked = estimators.get("rank_evolution_strategy")
    build, parameters, f = CASES["location_normal"]
    sample = estimates(ranked, build, parameters, f, 4, 50_000)
    assert_biased(sample, exact("location_normal"))
    monotone = Function(lambda z: (0.1 * f(z, build(**parameters))).exp())
    torch.testing.assert_close(
        estimates(ranked, build, parameters, monotone, 4, 100), estimates(ranked, build, parameters, f, 4, 100)
    )


@pytest.mark.parametrize("name", DIFFERENCES)
@pytest.mark.parametrize("case", ["normal", "full_normal"])
def test_differences_are_exact_in_the_mean_on_a_quadratic(name, case):
    build, parameters, _ = CASES[case]
    sample = enough(estimators.get(name, step=0.7), build, parameters, QUADRATIC, 2, 60_000)
    assert_unbiased(sample, integrated(build, parameters, QUADRATIC))


@pytest.mark.parametrize("name", DIFFERENCES)
def test_bias_is_quadratic_in_the_step(name):
    """On z⁴ both add 4 c² z, whose mean is 4 c² μ."""
    at = {"loc": double(0.9), "scale": double(0.2)}
    mean = 4 * (0.9**3 + 3 * 0.9 * 0.04)
    for step in (0.3, 0.6):
        sample = estimates(estimators.get(name, step=step), build_normal, at, QUARTIC, 1, 50_000)[:, :1]
        assert_biased(sample, double(mean))
        assert_unbiased(sample, double(mean + 4 * step**2 * 0.9), resolution=0.01)


@pytest.mark.parametrize("name", DIFFERENCES)
def test_differences_in_float32_at_a_small_step(name):
    sample = estimates(estimators.get(name, step=0.01), *single(CASES["normal"], torch.float32), 2, 60_000)
    assert (sample.double().mean(0) - exact("normal")).norm() < 0.05 * exact("normal").norm()


def test_finite_differences_are_the_path_on_a_quadratic():
    build, parameters, _ = CASES["full_normal"]
    path, differences = (
        estimates(estimators.get(name), build, parameters, QUADRATIC, 3, 20)
        for name in ("reparameterisation", "finite_differences")
    )
    torch.testing.assert_close(differences, path, rtol=1e-9, atol=1e-9)


def test_chunks_change_nothing(monkeypatch):
    whole = estimates(estimators.get("finite_differences"), *CASES["full_normal"], 2, 10)
    monkeypatch.setattr(coordinates, "MAX_ELEMENTS", 1)
    torch.testing.assert_close(estimates(estimators.get("finite_differences"), *CASES["full_normal"], 2, 10), whole)


def test_refusals():
    q = build_normal(**GAUSSIAN)
    assert "location alone" in str(unmet(estimators.get("evolution_strategy"), q, QUADRATIC, 2))
    with pytest.raises(BadInput, match="step"):
        estimators.get("spsa", step=0.0)


@pytest.mark.parametrize("name", DIFFERENCES)
def test_differences_reach_fs_own_parameters(name):
    """E (w z² + z) in w: E z², and c² more from the two sides."""
    w, q = double(2.0).requires_grad_(), build_normal(**GAUSSIAN)
    f = Function(lambda z: (w * z.square() + z).sum(-1))
    torch.manual_seed(0)
    estimators.get(name, step=0.1).surrogate(q, f, 200_000).backward()
    truth = (q.mean.square() + q.variance).sum()
    extra = 0.01 * (2 if name == "spsa" else 1)
    assert w.grad == pytest.approx(float(truth + extra), rel=0.02)
