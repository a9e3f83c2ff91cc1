"""Fitting of control variates: a small network, and Adam on the variance of the estimate."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.tools.parameters import parameters, rebuild

Weights = dict[str, Tensor]

LEARNING_RATE = 0.03
"""Step size of Adam."""


def network(inputs: int, like: Tensor, hidden: int = 10) -> Weights:
    """Returns initial weights of c(x) = out·tanh(in x + shift) + slope·x + bend·x² + level, for which c = 0."""
    draw = torch.randn(inputs, hidden, dtype=like.dtype, device=like.device) / inputs**0.5
    none = draw.new_zeros
    return {
        "in": draw,
        "shift": none(hidden),
        "out": none(hidden),
        "slope": none(inputs),
        "bend": none(inputs),
        "level": none(()),
    }


def apply(weights: Weights, x: Float[Tensor, "... inputs"]) -> Float[Tensor, "..."]:
    """Returns c(x), evaluated over the last axis.

    >>> apply(network(2, torch.zeros(())), torch.ones(3, 2))
    tensor([0., 0., 0.])
    """
    w = {name: value.to(x) for name, value in weights.items()}
    return torch.tanh(x @ w["in"] + w["shift"]) @ w["out"] + x @ w["slope"] + x.square() @ w["bend"] + w["level"]


def least_variance(
    surrogate: Callable[[Distribution, Weights], Tensor], q: Distribution, weights: Weights, steps: int
) -> Weights:
    """Returns the weights after `steps` steps of Adam on E‖ĝ‖², where ĝ is the surrogate's gradient in q's parameters.

    The mean of ĝ does not depend on the weights, so Adam descends the variance. The surrogate's coefficients must stay
    differentiable in the weights: only their dependence on θ may be detached.
    """
    at = {name: value.detach() for name, value in parameters(q).items()}
    leaves = {name: value.detach().clone() for name, value in weights.items()}
    optimiser = torch.optim.Adam(list(leaves.values()), lr=LEARNING_RATE)

    def squared(weights: Weights) -> Tensor:
        gradient = torch.func.grad(lambda values: surrogate(rebuild(q, values), weights).sum())(at)
        return torch.stack([g.square().sum() for g in gradient.values()]).sum() / q.batch_shape.numel()

    for _ in range(steps):
        for name, gradient in torch.func.grad(squared)(leaves).items():
            leaves[name].grad = gradient
        optimiser.step()
    return {name: leaf.detach() for name, leaf in leaves.items()}
