"""Straight-through and its relatives: biased, by exactly what theory says."""

import pytest
import torch

import estimators
from estimators import BadInput, Function, Need
from estimators.straight_through import GappedStraightThrough
from estimators.tools.parameters import support
from tests.support.cases import CASES, bits, build_one_hot, double, exact, single
from tests.support.exactness import assert_biased, assert_unbiased, enough, enumerated, estimates
from tests.support.identities import backward_agrees, value_is_plain, variance_agrees

ESTIMATOR = estimators.get("straight_through")


def expected(case) -> torch.Tensor:
    """Σ_z q(z) J(p) f′(z), the estimator's own mean, with J(p) from autograd of the mean."""
    build, parameters, f = case
    q = build(**parameters)
    z = support(q)
    slope = torch.func.grad(lambda x: f(x, q).sum())(z)
    weight = q.log_prob(z).exp().reshape(-1, *(1 for _ in q.event_shape))
    mean_slope = (weight * slope).sum(0)
    return torch.func.grad(lambda values: (build(**values).mean * mean_slope).sum())(parameters)["logits"].flatten()


def test_mean_is_what_theory_says_and_biased():
    for case in ("bits", "extreme_bits", "one_hot"):
        sample = estimates(ESTIMATOR, *CASES[case], 2, 100_000)
        assert_unbiased(sample, expected(CASES[case]), resolution=0.02)
        assert_biased(sample, exact(case))


def test_bias_on_a_quadratic_bit():
    """Fact 11: p(1−p)(2p−1), so that only at p = ½ there is none."""
    f = Function(lambda b: (b - 0.45).square().sum(-1))
    for logit in (-1.0, 0.0, 2.0):
        p = double(logit).sigmoid()
        truth = p * (1 - p) * 0.1
        sample = enough(ESTIMATOR, bits, {"logits": double(logit)}, f, 1, 400_000)
        assert_unbiased(sample, truth + p * (1 - p) * (2 * p - 1), resolution=0.05)


def test_exact_on_linear_functions():
    weight = double(1.0, -2.0, 0.5)
    f = Function(lambda z: (z * weight).sum((-1, -2)))
    parameters = CASES["one_hot"][1]
    sample = estimates(ESTIMATOR, build_one_hot, parameters, f, 1, 3)
    p = parameters["logits"].softmax(-1)
    truth = p * (weight - (p * weight).sum(-1, keepdim=True))
    torch.testing.assert_close(sample, truth.flatten().expand(3, -1))


def test_float32_backward_value_and_evidence():
    sample = enough(ESTIMATOR, *single(CASES["bits"], torch.float32), 2, 100_000)
    assert_unbiased(sample.double(), expected(CASES["bits"]), resolution=0.02)
    for case in ("one_hot", "evidence_of_bits"):
        backward_agrees(ESTIMATOR, CASES[case], 3)
    assert_biased(estimates(ESTIMATOR, *CASES["evidence_of_bits"], 2, 100_000), exact("evidence_of_bits"))
    f = Function(lambda b: (b - 0.45).square().sum(-1))
    value_is_plain(ESTIMATOR, (bits, {"logits": double(0.0)}, f), 2, (0.55**2 + 0.45**2) / 2)


def test_refused_on_a_normal():
    assert Need.FINITE in ESTIMATOR.traits.needs
    build, parameters, f = CASES["normal"]
    assert "categorical" in str(estimators.unmet(ESTIMATOR, build(**parameters), f, 1))


@pytest.mark.parametrize("n", [1, 3])
def test_reinmax_is_exact_on_quadratics(n):
    """Fact 12, categorical and with cross terms; at τ = 2 it is not."""
    sample = enough(estimators.get("reinmax"), *CASES["one_hot"], n, 100_000)
    assert_unbiased(sample, exact("one_hot"), resolution=0.02)
    assert_biased(
        estimates(estimators.get("reinmax", temperature=2.0), *CASES["one_hot"], n, 100_000), exact("one_hot")
    )
    quadratic = (bits, {"logits": double(-6.0, 0.4, 6.0)}, Function(lambda b: (b.sum(-1) - 1.3).square()))
    sample = enough(estimators.get("reinmax"), *quadratic, n, 400_000)
    assert_unbiased(sample, enumerated(*quadratic), resolution=0.05)


@pytest.mark.parametrize(("r", "scale"), [(1.5, 0.50084), (3, 1.99336)])
def test_reinmax_off_quadratics(r, scale):
    """Fact 12: on |b − .45|^r its mean over the truth is [f′(1) + f′(0)]/2Δ."""
    f = Function(lambda b: (b - 0.45).abs().pow(r).sum(-1))
    p = double(-0.5).sigmoid()
    truth = p * (1 - p) * (0.55**r - 0.45**r)
    sample = enough(estimators.get("reinmax"), bits, {"logits": double(-0.5)}, f, 1, 1_000_000)
    assert_unbiased(sample, scale * truth, resolution=0.05)
    assert_biased(estimates(estimators.get("reinmax"), *CASES["bits"], 2, 100_000), exact("bits"))


@pytest.mark.parametrize("case", ["bits", "one_hot"])
def test_gumbel_rao_averages_straight_through_gumbel(case):
    """The same mean, less variance; with one noise the same distribution, so the same variance."""
    plain = estimates(estimators.get("straight_through_gumbel"), *CASES[case], 1, 200_000, seed=1)
    for noises in (1, 10):
        averaged = estimates(estimators.get("gumbel_rao", noises=noises), *CASES[case], 1, 50_000, seed=2)
        error = (plain.var(0) / len(plain) + averaged.var(0) / len(averaged)).sqrt()
        assert torch.all((averaged.mean(0) - plain.mean(0)).abs() < 6 * error)
        if noises == 1:
            variance_agrees(averaged, plain.var(0), 7)
        else:
            assert torch.all(averaged.var(0) < plain.var(0))
    assert_biased(averaged, exact(case))


def test_gapped_mean_is_what_theory_says():
    """Σ_D q(D) J(softmax(w/τ)) f′(D)/τ, D on top of w by at least 1."""
    build, parameters, f = CASES["one_hot"]
    q, phi, tau = build(**parameters), parameters["logits"], 0.7
    z = support(q)
    slope = torch.func.grad(lambda x: f(x, q).sum())(z)
    top = phi.max(-1, keepdim=True).values
    winning = torch.where(z > 0, top, torch.where(phi > top - 1, top - 1, phi))
    p = (winning / tau).softmax(-1)
    mean = q.log_prob(z).exp()[:, None, None] * p * (slope - (p * slope).sum(-1, keepdim=True)) / tau
    sample = estimates(estimators.get("gapped_straight_through", temperature=tau), *CASES["one_hot"], 2, 100_000)
    assert_unbiased(sample, mean.sum(0).flatten(), resolution=0.02)
    assert_biased(sample, exact("one_hot"))
    assert_biased(estimates(GappedStraightThrough(), *CASES["bits"], 2, 100_000), exact("bits"))


def test_gapped_bits_are_two_categories():
    """A bit with logit φ is a categorical of (0, φ): the same gradient in φ for each value."""
    pair = build_one_hot(double(0.0, 1.7)[None])
    for bit in (0.0, 1.0):
        hard = double(1 - bit, bit)[None]
        winning = GappedStraightThrough().winning(pair.mean.log(), hard)
        sign = 2 * bit - 1
        assert winning[0, 1] - winning[0, 0] == pytest.approx(sign * max(sign * 1.7, 1))


@pytest.mark.parametrize("name", ["reinmax", "gumbel_rao", "gapped_straight_through"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_at_extremes(name, dtype):
    f = Function(lambda z: z.flatten(2).square().sum(-1))
    for build, logits in ((bits, [-100.0, 100.0, 0.0]), (build_one_hot, [[-100.0, 100.0, 0.0]])):
        sample = estimates(estimators.get(name), build, {"logits": torch.tensor(logits, dtype=dtype)}, f, 2, 1000)
        assert sample.dtype == dtype
        assert sample.isfinite().all()


def test_bad_settings():
    with pytest.raises(BadInput, match="temperature"):
        estimators.get("reinmax", temperature=0.5)
    with pytest.raises(BadInput, match="noises"):
        estimators.get("gumbel_rao", noises=0)
