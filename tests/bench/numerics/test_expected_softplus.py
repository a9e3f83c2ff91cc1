"""E softplus of a sum of discrete variables, against enumeration and against itself with half the panels."""

import itertools

import pytest
import torch

from bench.numerics.expected_softplus import mean_softplus


def layer(variables, values, scale, pixels=7):
    torch.manual_seed(0)
    return scale * torch.randn(pixels, variables, values).double(), torch.randn(pixels).double()


def softplus(a):
    """torch's own is off by 2e-9 above 20, where it returns its argument."""
    return torch.logaddexp(a, torch.zeros_like(a))


def by_enumeration(probs, weight, bias):
    variables, values = weight.shape[1:]
    index = torch.tensor(list(itertools.product(range(values), repeat=variables)))
    every = range(variables)
    q = probs[:, every, index].prod(-1)
    return q @ softplus(weight[:, every, index].sum(-1).T + bias).sum(-1)


@pytest.mark.parametrize(
    ("variables", "values", "scale"), [(1, 2, 1.0), (4, 2, 3.0), (10, 2, 0.5), (10, 2, 4.0), (5, 4, 1.0)]
)
def test_value_and_gradient_are_the_enumeration(variables, values, scale):
    weight, bias = layer(variables, values, scale)
    logits = 2 * torch.randn(3, variables, values).double()
    logits[0, 0] = 0.0

    def through(rule):
        return torch.func.grad(lambda values: rule(values.softmax(-1), weight, bias).sum())(logits)

    value, exact = (rule(logits.softmax(-1), weight, bias) for rule in (mean_softplus, by_enumeration))
    assert torch.allclose(value, exact, rtol=0, atol=1e-11)
    assert torch.allclose(through(mean_softplus), through(by_enumeration), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("variables", "values", "scale"), [(1, 2, 1.0), (4, 2, 3.0), (5, 4, 1.0)])
def test_the_gradient_in_weights_and_biases_is_the_enumeration(variables, values, scale):
    weight, bias = layer(variables, values, scale)
    probs, rows = torch.randn(3, variables, values).double().softmax(-1), torch.tensor([0.3, -1.0, 2.0]).double()

    def through(rule):
        return torch.func.grad(lambda *layer: (rows * rule(probs, *layer)).sum(), argnums=(0, 1))(weight, bias)

    for found, exact in zip(through(mean_softplus), through(by_enumeration), strict=True):
        assert torch.allclose(found, exact, rtol=0, atol=1e-12)


def test_halving_the_panels_changes_nothing_at_200_bits():
    weight, bias = layer(200, 2, 0.35, pixels=3)
    probs = torch.randn(1, 200, 2).double().softmax(-1)
    once, twice = (mean_softplus(probs, weight, bias, level) for level in (0, 1))
    assert torch.allclose(once, twice, rtol=1e-12)


def test_backward_and_leading_axes():
    weight, bias = layer(3, 2, 1.0)
    probs = torch.rand(2, 4, 3, 2).double().softmax(-1).requires_grad_()
    value = mean_softplus(probs, weight, bias)
    assert value.shape == (2, 4)
    value.sum().backward()
    assert probs.grad is not None
    assert torch.equal(probs.grad, torch.func.grad(lambda p: mean_softplus(p, weight, bias).sum())(probs.detach()))
