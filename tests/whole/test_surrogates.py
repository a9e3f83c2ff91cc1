"""What DESIGN asks of every surrogate: one gradient by either road, a value that estimates E f, no cross-talk."""

from functools import cache

import pytest
import torch
from torch import Tensor

import estimators
from estimators import SetObjective
from tests.support.cases import EVERY, fitting

NAMES = estimators.available()


@pytest.mark.parametrize("name", NAMES)
def test_backward_agrees_with_functional_gradients(name):
    estimator = estimators.get(name)
    cases, n = fitting(estimator)
    assert cases, f"{name} fits no case of tests/support/cases.py"
    apart = []
    for case in cases:
        build, parameters, f = EVERY[case]
        leaves = {key: value.expand(50, *value.shape).clone().requires_grad_() for key, value in parameters.items()}
        torch.manual_seed(0)
        estimator.surrogate(build(**leaves), f, n).sum().backward()
        constants = {key: value.detach() for key, value in leaves.items()}
        torch.manual_seed(0)
        found = torch.func.grad(lambda values: estimator.surrogate(build(**values), f, n).sum())(constants)  # noqa: B023
        for key, gradient in found.items():
            torch.testing.assert_close(leaves[key].grad, gradient, msg=lambda m: f"{case}: {m}")  # noqa: B023
            apart.append(not torch.allclose(gradient, gradient[:1]))
    assert estimator.traits.exact or any(apart), "replicates coincide"


@cache
def truth(case: str) -> tuple[Tensor, Tensor]:
    """The mean of f over draws of q, and its squared standard error: for all estimators that are tried on this case."""
    build, parameters, f = EVERY[case]
    torch.manual_seed(1)
    draws = (200_000, f.draws) if isinstance(f, SetObjective) else (200_000,)
    values = f(build(**parameters).sample(draws), build(**parameters))
    return values.mean(), values.var() / len(values)


@pytest.mark.parametrize("name", NAMES)
def test_value_estimates_the_expectation(name):
    estimator = estimators.get(name)
    if not estimator.traits.valued:
        return
    cases, n = fitting(estimator)
    build, parameters, f = EVERY[cases[0]]
    q = build(**{key: value.expand(20_000, *value.shape) for key, value in parameters.items()})
    torch.manual_seed(0)
    value = estimator.surrogate(q, f, n)
    assert value.shape == q.batch_shape
    mean, square = truth(cases[0])
    assert (value.mean() - mean).abs() < 5.5 * (value.var() / len(value) + square).sqrt()
