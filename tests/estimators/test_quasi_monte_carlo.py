"""Randomised quasi-Monte Carlo: uniform point by point, even as a set, unbiased, and steeper than 1/n."""

import pytest
import torch
from scipy.stats import kstest
from torch.distributions import Bernoulli, Gamma, Independent

import estimators
from estimators import BadInput, Function, unmet
from estimators.quasi_monte_carlo import SEEDS, Even, QuasiMonteCarlo, scrambled, sobol, unit
from tests.support.cases import CASES, FULL, build_full_normal, build_normal, exact, single
from tests.support.exactness import assert_unbiased, enough, estimates

PATHWISE = QuasiMonteCarlo(estimators.get("reparameterisation"))


def set_of(n, dimensions, replicates, seed=0):
    torch.manual_seed(seed)
    words = torch.randint(0, SEEDS, (replicates, dimensions))
    return unit(scrambled(sobol(n, dimensions).unsqueeze(1), words), torch.float64)


def test_the_points_are_torchs():
    drawn = torch.quasirandom.SobolEngine(7).draw(37, dtype=torch.float64)
    torch.testing.assert_close(sobol(37, 7).double() / 2**32, drawn, rtol=0, atol=0)


def test_every_point_is_uniform():
    u = set_of(4, 2, 40_000)
    for k in range(4):
        for d in range(2):
            assert kstest(u[k, :, d].numpy(), "uniform").pvalue > 1e-7


def test_a_set_has_one_point_in_every_cell():
    """Scrambling keeps the net: 16 points, one in each sixteenth, and in each of 4 × 4 squares."""
    u = set_of(16, 2, 50)
    assert torch.equal((u * 16).long().sort(0).values, torch.arange(16).reshape(16, 1, 1).expand(16, 50, 2))
    cells = (u * 4).long()
    squares = (cells[..., 0] * 4 + cells[..., 1]).sort(0).values
    assert torch.equal(squares, torch.arange(16).unsqueeze(-1).expand(16, 50))


@pytest.mark.parametrize("n", [32, 256, 1024])
def test_variance_is_that_of_a_nested_scramble(n):
    """In one dimension a nested scramble puts one uniform point into each n-th of the interval."""
    torch.manual_seed(0)
    strata = (torch.arange(n).unsqueeze(-1) + torch.rand(n, 4000, dtype=torch.float64)) / n
    means = [torch.special.ndtri(u).exp().mean(0) for u in (set_of(n, 1, 4000).squeeze(-1), strata)]
    error = sum(((m - m.mean()).pow(4).mean() / m.var() ** 2 - 1) / len(m) for m in means) ** 0.5
    assert abs(float((means[0].var() / means[1].var()).log())) < 5 * float(error)


def test_replicates_are_independent():
    u = set_of(2, 1, 100_000).squeeze(-1)
    a, b = u[0, :50_000], u[0, 50_000:]
    assert torch.corrcoef(torch.stack([a, b]))[0, 1].abs() < 5.5 / 50_000**0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_interval_is_open(dtype):
    u = unit(torch.tensor([0, 2**32 - 1]), dtype)
    assert 0 < u[0] < u[1] < 1
    assert torch.special.ndtri(u).isfinite().all()


@pytest.mark.parametrize("case", CASES)
def test_unbiased_with_scores(case):
    sample = enough(QuasiMonteCarlo(), *CASES[case], 4, 400_000 if case == "extreme_bits" else 100_000)
    assert_unbiased(sample, exact(case))


@pytest.mark.parametrize("case", ["normal", "full_normal"])
def test_unbiased_with_paths(case):
    assert_unbiased(enough(PATHWISE, *CASES[case], 8, 20_000), exact(case))


def test_float32():
    assert_unbiased(enough(PATHWISE, *single(CASES["normal"], torch.float32), 8, 20_000).double(), exact("normal"))


def test_variance_falls_faster_than_one_over_n():
    """Fact 30: a slope of about −2.2 ± .15 for f = Σ log(1 + e^{2z}) + (Σz)²/(2d), whose gradient is additive."""
    d = 4
    at = {"loc": torch.linspace(-0.5, 0.5, d, dtype=torch.float64), "scale": torch.ones(d, dtype=torch.float64)}
    f = Function(lambda z: torch.nn.functional.softplus(2 * z).sum(-1) + z.sum(-1).square() / (2 * d))
    sizes = [128, 512, 2048]  # below, the slope is steeper still: −2.4 over 8 to 512, with scipy's scramble too
    traces = [estimates(PATHWISE, build_normal, at, f, n, 600)[:, :d].var(0).sum().log() for n in sizes]
    logs = torch.tensor(sizes, dtype=torch.float64).log()
    y = torch.stack(traces)
    slope = ((logs - logs.mean()) * (y - y.mean())).sum() / (logs - logs.mean()).square().sum()
    assert slope == pytest.approx(-2.2, abs=0.15)


def test_less_variance_than_independent_draws_on_a_full_normal():
    f = CASES["full_normal"][2]
    even = estimates(PATHWISE, build_full_normal, FULL, f, 16, 4_000).var(0).sum()
    plain = estimates(PATHWISE.inner, build_full_normal, FULL, f, 16, 4_000).var(0).sum()
    assert even < 0.5 * plain


def test_refusals():
    with pytest.raises(BadInput, match="independent draws"):
        estimators.get("quasi_monte_carlo", inner={"name": "rloo"})
    with pytest.raises(BadInput, match="noise of its own"):
        QuasiMonteCarlo(estimators.get("exact")).surrogate(CASES["bits"][0](**CASES["bits"][1]), CASES["bits"][2], 2)
    q = Gamma(torch.ones(3), torch.ones(3))
    assert "inverse CDF" in str(unmet(QuasiMonteCarlo(), q, Function(lambda z: z), 2))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precisions_draw_bits_of_the_right_chance(dtype):
    """23 bits of a point are infinite in float16: every bit was 0, and the mean gradient near 0 in place of .24."""
    q = Independent(Bernoulli(logits=torch.full((4000, 3), 0.4, dtype=dtype), validate_args=False), 1)
    drawn = Even(q).sample((8,)).float()
    assert torch.allclose(drawn.mean((0, 1)), torch.tensor(0.4).sigmoid().expand(3), atol=0.02)
