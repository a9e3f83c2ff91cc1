"""Sums and draws without replacement against exact gradients, by enumeration where the draws can be listed."""

import itertools

import pytest
import torch

import estimators
from estimators import BadInput, Function
from estimators.without_replacement import completions, without_replacement
from tests.cases import CASES, double, exact, of_single_hot, one_hot, single
from tests.exactness import assert_biased, assert_unbiased, enumerated, estimates

UNBIASED = ["top_and_sample", "sum_and_sample", "priority_sampling", "unordered_set"]
BUILD, _, F = CASES["single_hot"]
EXTREME = (BUILD, {"logits": double(-6.0, 0.3, 1.0, 6.0)}, F)


@pytest.mark.parametrize("name", UNBIASED)
@pytest.mark.parametrize("n", [2, 3])
def test_unbiased(name, n):
    assert_unbiased(estimates(estimators.get(name), *CASES["single_hot"], n, 100_000), exact("single_hot"))


@pytest.mark.parametrize("name", UNBIASED)
def test_unbiased_at_extreme_logits(name):
    sample = estimates(estimators.get(name), *EXTREME, 3, 200_000)
    assert_unbiased(sample, enumerated(*EXTREME), resolution=0.1)


@pytest.mark.parametrize("name", UNBIASED)
def test_float32(name):
    sample = estimates(estimators.get(name), *single(CASES["single_hot"], torch.float32), 3, 100_000)
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
    found = completions(p.log(), left.log()).exp()

    def chance(order: tuple[int, ...], first: tuple[int, ...]) -> float:
        rest, result = float(left + p.sum() - sum(p[i] for i in first)), 1.0
        for i in order:
            result *= float(p[i]) / rest
            rest -= float(p[i])
        return result

    for size in range(4):
        for first in itertools.combinations(range(3), size):
            others = [i for i in range(3) if i not in first]
            truth = sum(chance(order, first) for order in itertools.permutations(others))
            assert float(found[sum(1 << i for i in first)]) == pytest.approx(truth, rel=1e-12)


def test_completions_of_all_categories_are_certain():
    assert torch.allclose(
        completions(double(0.5, 0.3, 0.2).log(), double(0.0).squeeze().log()), torch.zeros(8, dtype=torch.float64)
    )


def test_unordered_set_is_sum_and_sample_given_the_set():
    """Averaging over the orders of a set leaves less variance."""
    unordered, ordered = (
        estimates(estimators.get(name), *CASES["single_hot"], 3, 100_000)
        for name in ("unordered_set", "sum_and_sample")
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


def test_too_large_a_set():
    with pytest.raises(BadInput, match="at most 10"):
        estimators.get("unordered_set").surrogate(BUILD(torch.zeros(20)), F, 12)


@pytest.mark.parametrize("name", [*UNBIASED, "normalised_priority_sampling"])
def test_a_row_of_one_variable_is_one_variable(name):
    """An event `[1, C]`, as a family of independent one-hot variables has it at size 1."""
    build, parameters, f = CASES["single_hot"]
    row = {"logits": parameters["logits"].unsqueeze(0)}
    alone = estimates(estimators.get(name), build, parameters, f, 3, 20)
    of_row = Function(lambda z: of_single_hot(z.squeeze(-2)))
    q = one_hot(row["logits"])
    assert estimators.unmet(estimators.get(name), q, of_row, 3) is None
    torch.testing.assert_close(estimates(estimators.get(name), one_hot, row, of_row, 3, 20), alone)
