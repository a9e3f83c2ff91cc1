"""Weak derivatives: ∂θ q as a difference of two distributions, one coordinate at a time, for any f."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Bernoulli, Binomial, Distribution, Exponential, Gamma, Poisson

from estimators.control_variates import flat
from estimators.core import Estimator, Objective
from estimators.registry import register
from estimators.tools.coordinates import swept
from estimators.tools.noise import exponential
from estimators.tools.parameters import base, linear, sample, valued
from estimators.traits import Need, Traits

Sides = tuple[Tensor, Tensor, Tensor, Tensor]
"""A parameter θ, a constant c, and draws of two distributions: ∂θ E f = c (E f(up) − E f(down))."""


def sides_of_bernoulli(q: Bernoulli, x: Tensor) -> Sides:
    """In p: f(1) − f(0)."""
    return q.probs, torch.ones_like(q.probs), torch.ones_like(x), torch.zeros_like(x)


def sides_of_binomial(q: Binomial, x: Tensor) -> Sides:
    """In p: n (f(x′ + 1) − f(x′)), x′ ~ Binomial(n − 1, p)."""
    fewer = Binomial(q.total_count - 1, q.probs.detach(), validate_args=False).sample((len(x),))
    return q.probs, q.total_count, fewer + 1, fewer


def sides_of_poisson(q: Poisson, x: Tensor) -> Sides:
    """In the rate: f(x + 1) − f(x)."""
    return q.rate, torch.ones_like(q.rate), x + 1, x


def of_exponential(q: Exponential, x: Tensor) -> Sides:
    """In the rate r: [f(x) − f(x + y)]/r with x, y independent, so that x + y is Gamma(2, r)."""
    return q.rate, 1 / q.rate, x, x + sample(q, len(x))


def of_gamma(q: Gamma, x: Tensor) -> Sides:
    """In the rate β: (α/β) [f(x) − f(x + y)], y ~ Exponential(β), so that x + y is Gamma(α + 1, β)."""
    y = exponential(len(x), q.rate) / q.rate.detach()
    return q.rate, q.concentration / q.rate, x, x + y


DERIVATIVES: dict[type[Distribution], Callable[..., Sides]] = {
    Bernoulli: sides_of_bernoulli,
    Binomial: sides_of_binomial,
    Poisson: sides_of_poisson,
    Exponential: of_exponential,
    Gamma: of_gamma,
}


@register("weak_derivative")
@dataclass(frozen=True)
class WeakDerivative(Estimator):
    """c (f(up) − f(down)), one coordinate replaced at a time: 2·D evaluations per draw, plus one for the value.

    Bernoulli(p): f(1) − f(0).
    Binomial(m, p): m [f(x′+1) − f(x′)], x′ ~ Binomial(m−1, p).
    Poisson: f(x+1) − f(x).
    Exponential rate r: [f(x) − f(x+y)]/r, y a second draw.
    Gamma rate β, if it alone is learned: (α/β)[f(x) − f(x+y)], y ~ Exponential(β).
    The two sides are coupled as written.
    Paper: Pflug 1989, Computing 42(4), 315–328; Heidergott, Vázquez-Abad 2000, EURANDOM report 2000-033; Mohamed,
    Rosca, Figurnov, Mnih 2020, arXiv:1906.10652, table 1.

    >>> rate = torch.tensor(2.0, requires_grad=True)
    >>> from estimators import Function
    >>> WeakDerivative().surrogate(Poisson(rate), Function(lambda x: 3 * x), 1).backward()
    >>> rate.grad  # without variance on a linear f
    tensor(3.)
    """

    traits = Traits(
        unbiased=True,
        needs=frozenset({Need.WEAK_DERIVATIVE, Need.FACTORISED}),
        ends=True,
        paper="Pflug 1989; Mohamed et al. 2020",
    )

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        x, inner = sample(q, n), base(q)
        derivative = next(rule for kind, rule in DERIVATIVES.items() if isinstance(inner, kind))
        parameter, c, up, down = derivative(inner, x)
        parts = swept(f, q, flat(x, q), flat(torch.stack([up, down]), q))
        at_up, at_down = torch.cat([part.detach().mean(2) for part in parts], 1)  # each [D, *batch]
        gradient = c * (at_up - at_down).movedim(0, -1).reshape(parameter.shape)
        return valued(f.held(x, q).mean(0), linear(gradient, parameter, q))
