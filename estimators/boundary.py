"""Pathwise gradients of functions that jump: what crosses each break is added."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.control_variates import flat
from estimators.coordinates import swept
from estimators.core import Estimator, Need, Objective, Traits
from estimators.parameters import base, valued
from estimators.registry import register


@register("boundary_pathwise")
@dataclass(frozen=True)
class BoundaryPathwise(Estimator):
    """∇θ f(g(ε, θ)) + Σ_a [f(a+) − f(a−)] · (−∇θ F(a)), over f's declared breaks a in every coordinate.

    f(a±) is f at the draw with that coordinate moved to either side of a; −∇θF(a) = q(a)·∇θ(draw at a) is the rate
    at which mass crosses a upwards, for a Normal q(a) in μ and q(a)(a − μ)/σ in σ. 2·D·breaks more evaluations.
    Paper: Lee, Yu, Yang 2018, theorem 1, for boundaries along the axes.

    >>> from torch.distributions import Normal
    >>> from estimators import Function
    >>> loc = torch.tensor(0.0, requires_grad=True)
    >>> step = Function(lambda z: (z > 0).to(z), differentiable=False, breaks=(0.0,))
    >>> BoundaryPathwise().surrogate(Normal(loc, 1.0), step, 1).backward()
    >>> loc.grad
    tensor(0.3989)
    """

    traits = Traits(
        unbiased=True,
        needs=frozenset({Need.GAUSSIAN, Need.FACTORISED, Need.REPARAMETERISED, Need.PIECEWISE}),
        paper="Lee, Yu, Yang 2018",
    )

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        z = q.rsample((n,))
        surrogate = f(z, q).mean(0)
        for a in f.breaks:
            jump = jumps(f, q, flat(z.detach(), q), a).mean(1).movedim(0, -1)  # [*batch, D]
            below = base(q).cdf(torch.full_like(q.mean, a))
            surrogate = valued(surrogate, -(jump * flat(below, q)).sum(-1))
        return surrogate


def jumps(f: Objective, q: Distribution, z: Float[Tensor, "n *batch"], a: float) -> Float[Tensor, "D n ..."]:
    """f just above a minus f just below it, in each coordinate of draws `[n, *batch, D]`, constant."""
    step = 8 * torch.finfo(z.dtype).eps * max(abs(a), 1.0)
    sides = torch.stack([torch.full_like(z, a + step), torch.full_like(z, a - step)])
    above, below = torch.cat([part.detach() for part in swept(f, q, z, sides)], 1)
    return above - below
