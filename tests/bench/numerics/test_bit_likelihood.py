"""Σ softplus, eager and as the logarithm of a product, with all its derivatives."""

import pytest
import torch
from torch.distributions import Bernoulli, Independent

from bench.numerics.bit_likelihood import _Product, bits_log_prob, grouped, sum_log_sigmoid, sum_softplus
from estimators.tools.distinct import distinct


def by_logaddexp(a):
    return torch.logaddexp(a, torch.zeros_like(a)).sum(-1)


def product(a):
    return _Product.apply(a)


def numbers(n, scale=3.0):
    torch.manual_seed(0)
    return scale * torch.randn(5, n).double()


@pytest.mark.parametrize("n", [1, 63, 64, 65, 569])
@pytest.mark.parametrize("sum_of", [sum_softplus, product])
def test_value(n, sum_of):
    a = numbers(n)
    assert torch.allclose(sum_of(a), by_logaddexp(a), rtol=1e-13)


@pytest.mark.parametrize("sum_of", [sum_softplus, product])
def test_extremes(sum_of):
    a = torch.tensor([[-800.0, -50.0, 0.0, 30.0, 800.0]]).double()
    assert torch.allclose(sum_of(a), by_logaddexp(a), rtol=1e-15)
    full = torch.zeros(1, 64 * 40, dtype=torch.float32)
    assert torch.allclose(sum_of(full), by_logaddexp(full), rtol=1e-6)  # 2^2560 in one product would be infinite


def slope(function):
    """A number made of the gradient, so that the next gradient goes through it."""
    below = torch.func.grad(function)
    return lambda a: (a.detach().sin() * below(a)).sum()


@pytest.mark.parametrize("n", [3, 130])
def test_derivatives_of_the_product(n):
    a, weight = numbers(n), torch.linspace(1, 2, 5).double()

    def derivative(sum_of, order):
        function = lambda a: (weight * sum_of(a) ** 2).sum()  # noqa: E731
        for _ in range(order):
            function = slope(function)
        return torch.func.grad(function)(a)

    for order in range(3):
        assert torch.allclose(derivative(product, order), derivative(by_logaddexp, order), rtol=1e-11)


def test_replicates_keep_their_own_gradients_though_their_values_are_computed_once():
    shared, weight = numbers(4)[0], torch.arange(1.0, 8.0).double()

    def gradient(sum_of):
        return torch.func.grad(lambda a: (weight * sum_of(a)).sum())(shared.expand(7, 4))

    assert torch.allclose(gradient(product), gradient(by_logaddexp))
    second = torch.func.grad(lambda a: (weight * gradient_of(product, a)).sum())(shared.expand(7, 4))
    assert torch.allclose(
        second, torch.func.grad(lambda a: (weight * gradient_of(by_logaddexp, a)).sum())(shared.expand(7, 4))
    )


def gradient_of(sum_of, a):
    return torch.func.grad(lambda a: sum_of(a).sum())(a).sum(-1)


def test_vmap():
    a = numbers(5)
    assert torch.allclose(torch.func.vmap(product)(a), by_logaddexp(a))
    assert torch.allclose(torch.func.vmap(torch.func.grad(product))(a), a.sigmoid())


def test_log_sigmoids():
    assert torch.allclose(sum_log_sigmoid(numbers(5)), -by_logaddexp(-numbers(5)))


def test_bits_are_torchs():
    logits, value = numbers(6), (numbers(6) > 0).double().expand(3, 5, 6)
    assert torch.allclose(bits_log_prob(value, logits), Independent(Bernoulli(logits=logits), 1).log_prob(value))


def test_groups_are_alike():
    assert grouped(torch.ones(2, 569)).shape == (2, 9, 64)
    assert grouped(torch.ones(2, 100)).shape == (2, 2, 50)


def test_what_is_distinct():
    x = torch.arange(6.0).reshape(2, 3)
    assert torch.equal(distinct(x), x)
    assert torch.equal(distinct(x.expand(4, 2, 3)), x[None])
    assert distinct(torch.zeros(1).expand(5)).shape == (5,)  # the last axis stays: it may be summed
