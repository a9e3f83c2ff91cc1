"""E softplus of a sum of bits, against enumeration and against itself with half the panels."""

import itertools

import pytest
import torch

from bench.softplus import mean_softplus


def layer(bits, pixels, scale, seed=0):
    torch.manual_seed(seed)
    return scale * torch.randn(pixels, bits).double(), torch.randn(pixels).double()


def softplus(a):
    """torch's own is off by 2e-9 above 20, where it returns its argument."""
    return torch.logaddexp(a, torch.zeros_like(a))


def by_enumeration(logits, weight, bias):
    z = torch.tensor(list(itertools.product([0.0, 1.0], repeat=weight.shape[1]))).double()
    q = (z[:, None] * logits - softplus(logits)).sum(-1).exp()
    return (q * softplus(z @ weight.T + bias).sum(-1)[:, None]).sum(0)


@pytest.mark.parametrize(("bits", "scale"), [(1, 1.0), (4, 3.0), (10, 0.5), (10, 4.0)])
def test_value_and_gradient_are_the_enumeration(bits, scale):
    weight, bias = layer(bits, 7, scale)
    logits = 2 * torch.randn(3, bits).double()
    logits[0, 0] = 0.0
    slope, exact_slope = (
        torch.func.grad(lambda values, rule=rule: rule(values, weight, bias).sum())(logits)
        for rule in (mean_softplus, by_enumeration)
    )
    assert torch.allclose(mean_softplus(logits, weight, bias), by_enumeration(logits, weight, bias), rtol=0, atol=1e-11)
    assert torch.allclose(slope, exact_slope, rtol=0, atol=1e-12)


def test_halving_the_panels_changes_nothing_at_200_bits():
    weight, bias = layer(200, 4, 0.5)
    logits = torch.randn(1, 200).double()
    once, twice = (mean_softplus(logits, weight, bias, level) for level in (0, 1))
    assert torch.allclose(once, twice, rtol=1e-12)


def test_backward_and_leading_axes():
    weight, bias = layer(3, 5, 1.0)
    logits = torch.randn(2, 4, 3).double().requires_grad_()
    value = mean_softplus(logits, weight, bias)
    assert value.shape == (2, 4)
    value.sum().backward()
    by_func = torch.func.grad(lambda values: mean_softplus(values, weight, bias).sum())(logits.detach())
    assert logits.grad is not None
    assert torch.equal(logits.grad, by_func)
