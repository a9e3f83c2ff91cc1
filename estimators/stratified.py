"""Stratified and systematic draws of one-hot variables."""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Estimator, Objective
from estimators.registry import register
from estimators.score_function import scored
from estimators.tools.parameters import logits
from estimators.traits import Need, Traits


class OnStrata(Estimator):
    """f(z) ∇θ log q(z), averaged over draws by inverse CDF, one in each of n equal strata of (0, 1).

    Each variable visits the strata in its own random order. The draws of one estimate are not independent.
    """

    traits = Traits(unbiased=True, needs=frozenset({Need.CATEGORICAL, Need.DENSITY}), paper="Owen 2013, chapter 8")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        p = logits(q).detach().softmax(-1)
        stratum = torch.rand((n, *p.shape[:-1]), dtype=p.dtype, device=p.device).argsort(0)
        z = inverse_cdf((stratum + self.within(stratum, p)) / n, p)
        value = f.held(z, q)
        return scored(value, value, q.log_prob(z))

    @abstractmethod
    def within(self, stratum: Tensor, p: Tensor) -> Tensor:
        """Returns the position of each draw within its stratum, in [0, 1)."""


def inverse_cdf(u: Float[Tensor, "n *batch"], p: Float[Tensor, "..."]) -> Float[Tensor, "n ..."]:
    """Returns the one-hot category at each u: the first whose cumulated p exceeds u.

    >>> inverse_cdf(torch.tensor([0.1, 0.6, 0.99]), torch.tensor([0.5, 0.3, 0.2])).argmax(-1)
    tensor([0, 1, 2])
    """
    index = (u.unsqueeze(-1) >= edges(p)).sum(-1, keepdim=True)
    return torch.zeros((*u.shape, p.shape[-1]), dtype=p.dtype, device=p.device).scatter(-1, index, 1.0)


def edges(p: Float[Tensor, "*batch C"]) -> Float[Tensor, "..."]:
    """Returns the cumulated p at the end of each category but the last.

    The value is ∞ if no category with mass follows, because the sum may be rounded below 1.

    >>> edges(torch.tensor([0.25, 0.75, 0.0]))
    tensor([0.2500,    inf])
    """
    below = p.cumsum(-1)
    return torch.where(below == below[..., -1:], torch.inf, below)[..., :-1]


@register("stratified")
@dataclass(frozen=True)
class Stratified(OnStrata):
    """f(z) ∇θ log q(z) with u_k = (k + U_k)/n: one uniform in each stratum of the inverse CDF.

    Source: Owen 2013, Monte Carlo theory, methods and examples, section 8.4; with several variables, Latin hypercube
    sampling (McKay, Beckman, Conover 1979, Technometrics 21(2), 239–245).

    >>> from torch.distributions import OneHotCategorical
    >>> from estimators import Function
    >>> q = OneHotCategorical(logits=torch.zeros(2))
    >>> Stratified().surrogate(q, Function(lambda z: z[..., 0]), 2)  # two strata, two categories
    tensor(0.5000)
    """

    def within(self, stratum: Tensor, p: Tensor) -> Tensor:
        return torch.rand(stratum.shape, dtype=p.dtype, device=p.device)


@register("systematic")
@dataclass(frozen=True)
class Systematic(OnStrata):
    """f(z) ∇θ log q(z) with u_k = (k + U)/n: the same position in every stratum of the inverse CDF.

    Source: Owen 2013, Monte Carlo theory, methods and examples, section 8.4; Madow 1949, Ann. Math. Stat. 20(3),
    333–354.

    >>> from torch.distributions import OneHotCategorical
    >>> from estimators import Function
    >>> q = OneHotCategorical(logits=torch.zeros(2))
    >>> Systematic().surrogate(q, Function(lambda z: z[..., 0]), 2)
    tensor(0.5000)
    """

    def within(self, stratum: Tensor, p: Tensor) -> Tensor:
        return torch.rand(stratum.shape[1:], dtype=p.dtype, device=p.device).expand(stratum.shape)
