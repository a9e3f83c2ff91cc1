"""Exact enumeration, without sampling."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Estimator, Objective
from estimators.registry import register
from estimators.tools.parameters import support
from estimators.traits import Need, Traits


@register("exact")
@dataclass(frozen=True)
class Exact(Estimator):
    """Σ_z ∇θ q(z) f(z) over every value of z; the number of draws is ignored.

    Refused if z takes more than `needs.MAX_ENUMERATED_STATES` values: the cost is C^D evaluations.
    Source: the definition of E f; as an estimator, Liu et al. 2019, arXiv:1810.04777, with every category in the sum.

    >>> import torch
    >>> from torch.distributions import Bernoulli
    >>> from estimators import Function
    >>> q = Bernoulli(probs=torch.tensor(0.3, requires_grad=True))
    >>> Exact().surrogate(q, Function(lambda z: 5 * z), 1).backward()
    >>> q.probs.grad
    tensor(5.)
    """

    traits = Traits(unbiased=True, exact=True, needs=frozenset({Need.DENSITY, Need.ENUMERABLE}), paper="enumeration")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        z = support(q)
        p = q.log_prob(z).exp()
        return (p * torch.where(p > 0, f.held(z, q), 0)).sum(0)
