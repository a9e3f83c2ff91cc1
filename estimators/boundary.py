"""Pathwise gradients of functions with jumps: the flow of mass across each break is added."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Normal

from estimators.baselines import spread
from estimators.control_variates import flat
from estimators.core import Estimator, Objective
from estimators.registry import register
from estimators.tools.coordinates import swept
from estimators.tools.parameters import along, base, loc_scale, valued
from estimators.traits import Need, Traits


@register("boundary_pathwise")
@dataclass(frozen=True)
class BoundaryPathwise(Estimator):
    """∇θ f(g(ε, θ)) + Σ_a [f(a+) − f(a−)] · (−∇θ F(a)), over f's declared breaks a in every coordinate.

    f(a±) is f at the draw with that coordinate moved to either side of a; −∇θF(a) = q(a)·∇θ(draw at a) is the rate at
    which mass crosses a upwards, for a Normal q(a) in μ and q(a)(a − μ)/σ in σ. The cost is 2·D·breaks more
    evaluations. A declared half-space w·z > c adds N(c; w·μ, Σw²σ²) · J(z_b) · w·∇θ z_b, where z_b is the draw given
    w·z = c and J is the jump of f across the plane there, for 2 more evaluations.
    Paper: Lee, Yu, Yang 2018, arXiv:1806.00176; the half-space is its hyperplane boundary for a diagonal Normal.

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
        return surrogate if f.half_space is None else valued(surrogate, crossing(f, q, z.detach(), *f.half_space))


def jumps(f: Objective, q: Distribution, z: Float[Tensor, "n *batch"], a: float) -> Float[Tensor, "D n ..."]:
    """Returns f just above a minus f just below a, in each coordinate of draws `[n, *batch, D]`, detached."""
    step = 8 * torch.finfo(z.dtype).eps * max(abs(a), 1.0)
    sides = torch.stack([torch.full_like(z, a + step), torch.full_like(z, a - step)])
    above, below = torch.cat([part.detach() for part in swept(f, q, z, sides)], 1)
    return above - below


def crossing(f: Objective, q: Distribution, z: Tensor, w: Tensor, c: float) -> Float[Tensor, "*batch"]:
    """Returns a surrogate of the mass that crosses the plane w·z = c times the jump there.

    z are draws `[n, *batch, *event]`. z_b = z + (c − w·z) w∘σ²/Σw²σ² is a draw of q given w·z_b = c. At fixed noise
    (z_b − μ)/σ, z_b moves with μ and σ.
    """
    mu, sigma = (parameter.detach() for parameter in loc_scale(q))
    w = w.to(z)
    variance = along(w, w * sigma.square(), q)
    normal = w * sigma.square() / spread(variance, mu)
    on_plane = z + spread(c - along(w, z, q), z) * normal
    step = 32 * torch.finfo(z.dtype).eps * (along(w.abs(), on_plane.abs(), q) + abs(c))
    aside = spread(step, z) * normal
    above, below = f.held(torch.stack([on_plane + aside, on_plane - aside]), q).detach()
    density = Normal(along(w, mu, q), variance.sqrt(), validate_args=False).log_prob(torch.full_like(variance, c)).exp()
    loc, scale = loc_scale(q)
    moving = loc + scale * (on_plane - mu) / sigma
    return ((above - below) * density * along(w, moving, q)).mean(0)
