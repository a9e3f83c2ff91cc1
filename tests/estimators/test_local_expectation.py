"""Local expectation and IndeCateR: unbiased, exact on sums, equal to each other on shared draws."""

import pytest
import torch

import estimators
from estimators import Function
from estimators.tools import coordinates
from tests.support.cases import CASES, DISCRETE, EXTREME, bits, double, exact, single
from tests.support.exactness import assert_unbiased, enumerated, estimates

BITS = [name for name, case in DISCRETE.items() if case[0] is bits]


@pytest.mark.parametrize("case", BITS)
def test_local_expectation_is_unbiased(case):
    sample = estimates(estimators.get("local_expectation"), *CASES[case], 2, 40_000)
    assert_unbiased(sample, exact(case), resolution=0.01)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("case", DISCRETE)
def test_indecater_is_unbiased(case, shared):
    sample = estimates(estimators.get("indecater", shared=shared), *CASES[case], 2, 40_000)
    assert_unbiased(sample, exact(case), resolution=0.01)


@pytest.mark.parametrize("name", ["local_expectation", "indecater"])
def test_float32(name):
    sample = estimates(estimators.get(name), *single(CASES["bits"], torch.float32), 1, 40_000)
    assert_unbiased(sample.double(), exact("bits"), resolution=0.01)


@pytest.mark.parametrize("name", ["local_expectation", "indecater"])
def test_no_variance_on_a_sum_over_bits(name):
    """Fact 19."""
    f = Function(lambda z: ((z - 0.3).exp() * double(1.0, -2.0, 0.5)).sum(-1))
    sample = estimates(estimators.get(name), bits, EXTREME, f, 1, 20)
    torch.testing.assert_close(sample, enumerated(bits, EXTREME, f).expand_as(sample), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("case", BITS)
def test_equal_on_shared_draws(case):
    both = (
        estimates(estimators.get(name, **settings), *CASES[case], 3, 50)
        for name, settings in [("local_expectation", {}), ("indecater", {"shared": True})]
    )
    torch.testing.assert_close(*both)


def test_draws_of_their_own_make_coordinates_independent():
    """The point of IndeCateR's separate draws: estimates of different variables do not share noise."""
    own, shared = (
        estimates(estimators.get("indecater", shared=shared), *CASES["bits"], 1, 100_000) for shared in (False, True)
    )
    assert torch.corrcoef(own.T).fill_diagonal_(0).abs().max() < 0.02
    assert torch.corrcoef(shared.T).fill_diagonal_(0).abs().max() > 0.1


@pytest.mark.parametrize("name", ["local_expectation", "indecater"])
def test_chunks_change_nothing(name, monkeypatch):
    whole = estimates(estimators.get(name), *CASES["bits"], 2, 10)
    monkeypatch.setattr(coordinates, "MAX_ELEMENTS", 1)
    torch.testing.assert_close(estimates(estimators.get(name), *CASES["bits"], 2, 10), whole)


@pytest.mark.parametrize("name", ["local_expectation", "indecater"])
def test_a_thousand_bits(name):
    logits = {"logits": torch.linspace(-3, 3, 1000, dtype=torch.float64)}
    f = Function(lambda z: (z.mean(-1) - 0.4).square())
    sample = estimates(estimators.get(name), bits, logits, f, 1, 2)
    assert sample.isfinite().all()
    assert sample.shape == (2, 1000)
