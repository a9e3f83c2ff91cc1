"""Sticking the landing: the evidence bound's gradient through the draw alone."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Estimator, Objective, held_gradient_at
from estimators.registry import register
from estimators.tools.parameters import along, valued
from estimators.traits import Need, Traits


@register("sticking_the_landing")
@dataclass(frozen=True)
class StickingTheLanding(Estimator):
    """∂/∂z [log p(x, z) − log q(z)] at fixed q · ∂z/∂θ: the zero-mean score term of log q is dropped.

    Zero variance if q is the posterior. Far from it, the variance can exceed that of the total derivative (for q = N(m,
    s²) against N(0, 1) iff s < 1/√2).
    Paper: Roeder, Wu, Duvenaud 2017, arXiv:1703.09194.

    >>> import torch
    >>> from torch.distributions import Normal
    >>> from estimators import Evidence
    >>> loc = torch.tensor(0.0, requires_grad=True)
    >>> f = Evidence(Normal(0.0, 1.0).log_prob)
    >>> StickingTheLanding().surrogate(Normal(loc, 1.0), f, 1).backward()
    >>> loc.grad
    tensor(0.)
    """

    traits = Traits(
        unbiased=True,
        needs=frozenset({Need.EVIDENCE, Need.REPARAMETERISED, Need.DIFFERENTIABLE}),
        paper="Roeder, Wu, Duvenaud 2017",
    )

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        z = q.rsample((n,))
        value, slope = held_gradient_at(f, z, q)
        return valued(value, along(slope, z, q)).mean(0)
