"""The evidence lower bound as terms: log p in factors, −log q in its steps."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Evidence, Terms, asked
from estimators.errors import BadInput
from estimators.tools.steps import follows, log_prob_steps


class EvidenceTerms(Evidence, Terms):
    """The integrand of the evidence lower bound, Σ_t log p_t(x, z) − Σ_i log q_i(z_i | earlier steps), term by term.

    Args:
        terms: z ↦ the factors of log p(x, z), along a new last axis.
        depends: `[factors, variables]`, 1 where a factor depends on a variable of q, else 0.
        differentiable: whether every factor is differentiable in z.
        relaxable: whether every factor is defined and differentiable between the values of a discrete z.

    >>> from torch.distributions import Independent, Normal
    >>> q = Independent(Normal(torch.zeros(2), 1.0), 1)
    >>> f = EvidenceTerms(Normal(0.0, 1.0).log_prob, torch.eye(2))
    >>> f.dependence(q).shape, f(torch.ones(3, 2), q)
    (torch.Size([4, 2]), tensor([0., 0., 0.]))
    """

    def __init__(
        self, terms: Callable[[Tensor], Tensor], depends: Tensor, *, differentiable: bool = True, relaxable: bool = True
    ) -> None:
        Terms.__init__(self, terms, depends, differentiable=differentiable, relaxable=relaxable)

    def log_joint(self, z: Tensor) -> Tensor:
        """Returns log p(x, z), the sum of its factors."""
        return self.terms(z).sum(-1)

    def each(self, z: Tensor, q: Distribution) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return torch.cat([asked(self.terms, z), -log_prob_steps(q, z)], -1)

    def each_held(self, z: Tensor, q: Distribution) -> Tensor:
        return torch.cat([asked(self.terms, z), -log_prob_steps(q, z).detach()], -1)

    def dependence(self, q: Distribution) -> Tensor:
        """Returns the factors' `depends`, and below it each step's: on itself and on all that it follows."""
        depends = self.depends.float()
        own = follows(q, depends)
        if depends.dim() != 2 or depends.shape[1] != len(own):
            raise BadInput(
                f"the terms' depends has shape {list(depends.shape)}: [terms, {len(own)}] would be right, because q "
                f"has {len(own)} variables"
            )
        return torch.cat([depends, own + torch.eye(len(own), device=own.device)])
