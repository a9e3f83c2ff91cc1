"""Stochastic triples: a rare jump of a discrete draw to its neighbour, weighted by the rate of that jump."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Bernoulli, Binomial, Distribution, Geometric, Poisson

from estimators.control_variates import flat
from estimators.core import Estimator, Objective
from estimators.registry import register
from estimators.tools.noise import exponential
from estimators.tools.parameters import base, linear, sample, valued
from estimators.traits import Need, Traits

Jump = tuple[Tensor, Tensor, Tensor]
"""A parameter θ, the neighbour x′ of each coordinate, and c with ∂θ E f = E[c (f(x′) − f(x))]."""


def jump_of_bernoulli(q: Bernoulli, x: Tensor) -> Jump:
    """Up from 0 with 1[x=0]/(1−p) if p ≤ ½, otherwise down from 1 with −1[x=1]/p: no weight exceeds 2."""
    up = (1 - x) / (1 - q.probs).clamp_min(0.5)
    down = -x / q.probs.clamp_min(0.5)
    return q.probs, 1 - x, torch.where(q.probs <= 0.5, up, down)


def jump_of_binomial(q: Binomial, x: Tensor) -> Jump:
    """Up with c = (m − x)/(1 − p) if p ≤ ½, otherwise down with c = −x/p. At the ends, where c = 0, x stays."""
    few, more = q.probs <= 0.5, torch.minimum(x + 1, q.total_count)
    up, down = (q.total_count - x) / (1 - q.probs).clamp_min(0.5), -x / q.probs.clamp_min(0.5)
    return q.probs, torch.where(few, more, (x - 1).clamp_min(0)), torch.where(few, up, down)


def jump_of_poisson(q: Poisson, x: Tensor) -> Jump:
    """Up with c = 1."""
    return q.rate, x + 1, torch.ones_like(x)


def of_geometric(q: Geometric, x: Tensor) -> Jump:
    """Down with c = x/(p(1 − p)), where x counts failures."""
    return q.probs, (x - 1).clamp_min(0), x / (q.probs * (1 - q.probs))


JUMPS: dict[type[Distribution], Callable[..., Jump]] = {
    Bernoulli: jump_of_bernoulli,
    Binomial: jump_of_binomial,
    Poisson: jump_of_poisson,
    Geometric: of_geometric,
}


@register("stochastic_triples")
@dataclass(frozen=True)
class StochasticTriples(Estimator):
    """c_i (f(x with x_i moved to its neighbour) − f(x)): smoothed perturbation analysis of discrete draws.

    c is −∂θF(x)/q(x) for a move up, ∂θF(x − 1)/q(x) for a move down. Of several coordinates a single one is moved, i
    with probability |c_i|/W, with weight W = Σ|c|: two evaluations per draw in any dimension.
    Paper: Arya, Schauer, Schäfer, Rackauckas 2022, arXiv:2210.08572, sections 3 and 4; Gong, Ho 1987, IEEE Trans.
    Autom. Control 32(10), 858–866.

    >>> rate = torch.tensor(2.0, requires_grad=True)
    >>> from estimators import Function
    >>> StochasticTriples().surrogate(Poisson(rate), Function(lambda x: 3 * x), 1).backward()
    >>> rate.grad
    tensor(3.)
    """

    traits = Traits(unbiased=True, needs=frozenset({Need.TRIPLE, Need.FACTORISED}), ends=True, paper="Arya et al. 2022")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        x, inner = sample(q, n), base(q)
        jump = next(rule for kind, rule in JUMPS.items() if isinstance(inner, kind))
        parameter, neighbour, c = jump(inner, x)
        c = flat(c.detach(), q)
        kept = one_of(c.abs())
        moved = flat(x, q) * (1 - kept) + flat(neighbour, q) * kept
        value, jumped = f.held(torch.stack([x, moved.reshape(x.shape)]), q)
        weight = c.sign() * c.abs().sum(-1, keepdim=True) * kept
        gradient = (jumped - value).detach().unsqueeze(-1) * weight
        return valued(value.mean(0), linear(gradient.mean(0).reshape(parameter.shape), parameter, q))


def one_of(weight: Float[Tensor, "n *batch"]) -> Float[Tensor, "n *batch"]:
    """Returns a one-hot vector over the last axis, drawn with probability ∝ weight ≥ 0, as the first exponential clock.

    If all weights are 0, the vector is arbitrary.

    >>> one_of(torch.tensor([[0.0, 3.0, 0.0]]))
    tensor([[0., 1., 0.]])
    """
    first = (exponential(1, weight)[0] / weight).argmin(-1, keepdim=True)
    return torch.zeros_like(weight).scatter(-1, first, 1.0)
