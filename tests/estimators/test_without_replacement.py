"""Sums and draws without replacement against exact gradients, by enumeration where the draws can be listed."""

import itertools
import math

import pytest
import torch

import estimators
from estimators import Function
from estimators.without_replacement import completions, without_replacement
from tests.support.cases import CASES, build_one_hot, double, exact, of_single_hot, single
from tests.support.exactness import assert_biased, assert_unbiased, enough, enumerated, estimates

UNBIASED = ["top_and_sample", "sum_and_sample", "priority_sampling", "unordered_set"]
BUILD, _, F = CASES["single_hot"]
EXTREME = (BUILD, {"logits": double(-6.0, 0.3, 1.0, 6.0)}, F)


@pytest.mark.parametrize("name", UNBIASED)
@pytest.mark.parametrize("n", [2, 3])
def test_unbiased(name, n):
    assert_unbiased(enough(estimators.get(name), *CASES["single_hot"], n, 100_000), exact("single_hot"))


@pytest.mark.parametrize("name", UNBIASED)
def test_unbiased_at_extreme_logits(name):
    most = 50_000 if name == "unordered_set" else 200_000  # its standard error is a thousandth of the others'
    sample = enough(estimators.get(name), *EXTREME, 3, most)
    assert_unbiased(sample, enumerated(*EXTREME), resolution=0.1)


@pytest.mark.parametrize("name", UNBIASED)
def test_float32(name):
    sample = enough(estimators.get(name), *single(CASES["single_hot"], torch.float32), 3, 100_000)
    assert sample.dtype == torch.float32
    assert_unbiased(sample.double(), exact("single_hot"))


@pytest.mark.parametrize("name", [*UNBIASED, "normalised_priority_sampling"])
@pytest.mark.parametrize("n", [6, 9])
def test_exact_with_all_categories(name, n):
    sample = estimates(estimators.get(name), *CASES["single_hot"], n, 10)
    torch.testing.assert_close(sample, exact("single_hot").expand(10, -1))


@pytest.mark.parametrize("name", ["top_and_sample", "sum_and_sample"])
def test_one_sample_is_reinforce_in_distribution_and_more_are_quieter(name):
    reinforce = estimates(estimators.get("reinforce"), *CASES["single_hot"], 1, 100_000)
    variances = [
        float(estimates(estimators.get(name), *CASES["single_hot"], n, 100_000).var(0).sum()) for n in (1, 2, 3)
    ]
    assert variances[0] == pytest.approx(float(reinforce.var(0).sum()), rel=0.05)
    assert variances[2] < variances[1] < variances[0]


def test_normalised_weights_are_biased():
    sample = estimates(estimators.get("normalised_priority_sampling"), *CASES["single_hot"], 2, 200_000)
    assert_biased(sample, exact("single_hot"))


def test_completions_by_listing_orders():
    p = double(0.1, 0.35, 0.2)
    left = double(0.35).squeeze()
    whole, first, both = (each.exp() for each in completions(p.log(), left.log()))

    def chance(order: tuple[int, ...], first: tuple[int, ...]) -> float:
        rest, result = float(left + p.sum() - sum(p[i] for i in first)), 1.0
        for i in order:
            result *= float(p[i]) / rest
            rest -= float(p[i])
        return result

    def listed(first: tuple[int, ...]) -> float:
        others = [i for i in range(3) if i not in first]
        return sum(chance(order, first) for order in itertools.permutations(others))

    assert float(whole) == pytest.approx(listed(()), rel=1e-12)
    for i in range(3):
        assert float(first[i]) == float(both[i, i]) == pytest.approx(listed((i,)), rel=1e-12)
        for j in {0, 1, 2} - {i}:
            assert float(both[i, j]) == pytest.approx(listed((i, j)), rel=1e-12)


@pytest.mark.parametrize("K", [2, 10, 64])
def test_completions_of_alike_categories(K):
    """Of C categories alike every set is as likely: P(S) = 1/binomial(C, K)."""
    C = K + 5
    whole, first, both = completions(torch.full((K,), 1 / C, dtype=torch.float64).log(), double(5 / C).squeeze().log())
    assert float(whole) == pytest.approx(-math.log(math.comb(C, K)), rel=1e-12)
    assert float(first[0]) == pytest.approx(-math.log(math.comb(C - 1, K - 1)), rel=1e-12)
    assert float(both[0, 1]) == pytest.approx(-math.log(math.comb(C - 2, K - 2)), rel=1e-12, abs=1e-12)


def test_completions_of_unlikely_members():
    """P(S) → p₀p₁ (1/(1 − p₀) + 1/(1 − p₁)) stays right where p underflows."""
    whole, first, both = completions(double(-800.0, -900.0), double(0.0).squeeze())
    torch.testing.assert_close(whole, double(-1700 + math.log(2)).squeeze(), rtol=1e-13, atol=0)
    torch.testing.assert_close(first, double(-900.0, -800.0), rtol=1e-13, atol=0)
    assert float(both[0, 1].abs()) < 1e-12


def test_completions_of_all_categories_are_certain():
    found = completions(double(0.5, 0.3, 0.2).log(), double(0.0).squeeze().log())
    assert all(float(each.abs().max()) < 1e-12 for each in found)


def test_unordered_set_is_sum_and_sample_given_the_set():
    """Averaging over the orders of a set leaves less variance."""
    unordered, ordered = (
        estimates(estimators.get(name), *CASES["single_hot"], 3, 20_000) for name in ("unordered_set", "sum_and_sample")
    )
    assert unordered.var(0).sum() < ordered.var(0).sum()


def test_draws_without_replacement_have_their_probabilities():
    log_p = double(0.4, 0.3, 0.2, 0.1).log()
    torch.manual_seed(0)
    z, kappa = without_replacement(log_p.expand(400_000, 4), 2)
    pairs = (z.argmax(-1) * torch.tensor([[4], [1]])).sum(0).bincount(minlength=16).double() / 400_000
    p = log_p.exp()
    for i, j in itertools.permutations(range(4), 2):
        truth = float(p[i] * p[j] / (1 - p[i]))
        assert abs(float(pairs[4 * i + j]) - truth) < 6 * (truth / 400_000) ** 0.5
    assert kappa.isfinite().all()
    assert torch.all(without_replacement(log_p, 4)[1] == -torch.inf)


@pytest.mark.parametrize("name", [*UNBIASED, "normalised_priority_sampling"])
def test_a_row_of_one_variable_is_one_variable(name):
    """An event `[1, C]`, as a family of independent one-hot variables has it at size 1."""
    build, parameters, f = CASES["single_hot"]
    row = {"logits": parameters["logits"].unsqueeze(0)}
    alone = estimates(estimators.get(name), build, parameters, f, 3, 20)
    of_row = Function(lambda z: of_single_hot(z.squeeze(-2)))
    q = build_one_hot(row["logits"])
    assert estimators.unmet(estimators.get(name), q, of_row, 3) is None
    torch.testing.assert_close(estimates(estimators.get(name), build_one_hot, row, of_row, 3, 20), alone)
