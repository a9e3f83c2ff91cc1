"""What DESIGN asks of every surrogate: one gradient by either road, a value that estimates E f, no cross-talk."""

import pytest
import torch

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
    draws = (200_000, f.draws) if isinstance(f, SetObjective) else (200_000,)
    truth = f(build(**parameters).sample(draws), build(**parameters))
    error = (value.var() / len(value) + truth.var() / len(truth)).sqrt()
    assert (value.mean() - truth.mean()).abs() < 5.5 * error
