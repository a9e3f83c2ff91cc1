"""Rao-Blackwellisation by structure: each variable's score multiplies only the costs that depend on it."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Estimator, Objective, Terms
from estimators.registry import register
from estimators.tools.parameters import base, sample
from estimators.traits import Need, Traits


@register("downstream")
@dataclass(frozen=True)
class Downstream(Estimator):
    """Σ_i ∇θ log q_i(z_i) Σ_{t downstream of i} f_t(z): terms that do not depend on z_i only add noise and are left
    out.

    Paper: Schulman, Heess, Weber, Abbeel 2015 (stochastic computation graphs), arXiv:1506.05254; Ranganath, Gerrish,
    Blei 2014, arXiv:1401.0118, section 3.1.

    >>> import torch
    >>> from torch.distributions import Independent, Normal
    >>> loc = torch.zeros(2, requires_grad=True)
    >>> q = Independent(Normal(loc, 1.0), 1)
    >>> f = Terms(lambda z: z * torch.tensor([0.0, 1e6]), torch.eye(2))
    >>> Downstream().surrogate(q, f, 1).backward()
    >>> float(loc.grad[0])
    0.0
    """

    traits = Traits(
        unbiased=True,
        needs=frozenset({Need.DENSITY, Need.FACTORISED, Need.TERMS}),
        paper="Schulman et al. 2015",
    )

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        if not isinstance(f, Terms):
            raise TypeError(f"downstream needs Terms, found {type(f).__name__}")
        z = sample(q, n)
        value = f.each(z, q)
        log_q = base(q).log_prob(z)
        log_q = log_q.reshape(*value.shape[:-1], -1)  # [n, *batch, variables]
        cost = value.detach() @ f.depends.to(value)
        return (value.sum(-1) + (cost * (log_q - log_q.detach())).sum(-1)).mean(0)
