"""Measure-valued derivatives: the gradient as a difference of two expectations, for any f, smooth or not."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.control_variates import flat
from estimators.core import Estimator, Objective
from estimators.registry import register
from estimators.tools.coordinates import swept
from estimators.tools.noise import maxwell, rayleigh
from estimators.tools.parameters import linear, loc_scale, sample, valued
from estimators.traits import Need, Traits


@register("measure_valued")
@dataclass(frozen=True)
class MeasureValued(Estimator):
    """Gaussian measure-valued gradients, one coordinate replaced at a time; f may have jumps.

    μ_d: [f(μ + σW) − f(μ − σW)]/(σ√2π), W ~ Weibull(√2, 2).
    σ_d: [f(μ + σM) − f(μ + σN)]/σ, M double-sided Maxwell, N = U·M Gaussian.
    In both, the other coordinates are a draw of q. `coupled = False` draws the two sides independently. 4·D evaluations
    per draw, in chunks of coordinates (`coordinates.MAX_ELEMENTS`); the N side is a draw of q, so its mean over the
    first chunk is the value.
    Paper: Mohamed, Rosca, Figurnov, Mnih 2020, arXiv:1906.10652, table 1, coupled as in section 7.2; Heidergott,
    Vázquez-Abad, Volk-Makarewicz 2008, Eur. J. Oper. Res. 187, 193–207.

    >>> from torch.distributions import Normal
    >>> from estimators import Function
    >>> loc = torch.tensor(0.0, requires_grad=True)
    >>> _ = torch.manual_seed(0)
    >>> step = Function(lambda z: (z > 0).to(z), differentiable=False)
    >>> MeasureValued().surrogate(Normal(loc, 1.0), step, 1).backward()
    >>> loc.grad  # φ(0), without variance
    tensor(0.3989)
    """

    traits = Traits(unbiased=True, needs=frozenset({Need.GAUSSIAN, Need.FACTORISED}), paper="Mohamed et al. 2020")

    coupled: bool = True

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        loc, scale = loc_scale(q)
        mu, sigma = loc.detach(), scale.detach()
        parts = swept(f, q, flat(sample(q, n), q), flat(mu + sigma * self.sides(n, mu), q))
        first = next(parts)  # only this part keeps its graph
        means = [first.detach().mean(2), *(part.detach().mean(2) for part in parts)]
        up, down, wide, narrow = torch.cat(means, 1).movedim(1, -1)  # each [*batch, D]
        in_loc = (up - down).reshape(mu.shape) / (sigma * math.sqrt(2 * math.pi))
        in_scale = (wide - narrow).reshape(mu.shape) / sigma
        return valued(first[3].mean((0, 1)), linear(in_loc, loc, q) + linear(in_scale, scale, q))

    def sides(self, n: int, like: Float[Tensor, "*batch"]) -> Float[Tensor, "4 n *batch"]:
        """Returns standardised values for the four sides W, −W, M, N."""
        w, m = rayleigh(n, like), maxwell(n, like)
        if self.coupled:
            return torch.stack([w, -w, m, torch.rand(m.shape, dtype=m.dtype, device=m.device) * m])
        return torch.stack([w, -rayleigh(n, like), m, torch.randn(m.shape, dtype=m.dtype, device=m.device)])
