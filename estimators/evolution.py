"""Evolution strategies: the location of a noise of fixed shape, learned from values of f alone.

With z = μ + σε the score of μ is −∂z log q(z), which is ε/σ for a Gaussian. The target is E f, the smoothed objective.
"""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.antithetic import Mirrored
from estimators.baselines import spread
from estimators.core import Estimator, Objective, gradient_at
from estimators.double_control_variate import leave_out
from estimators.registry import register
from estimators.tools.groups import rounding
from estimators.tools.parameters import linear, parameters, sample, valued
from estimators.traits import Need, Traits


class EvolutionStrategy(Estimator):
    """1/n Σ coefficient_k × (−∂z log q(z_k)), as the gradient in the location. Subclasses define the coefficient."""

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        z = self.draws(q, n)
        value = f.held(z, q)
        _, slope = gradient_at(q.log_prob, z)
        estimate = -(spread(self.coefficient(value.detach(), q, f), slope) * slope).mean(0)
        return valued(value.mean(0), linear(estimate, parameters(q)["loc"], q))

    def draws(self, q: Distribution, n: int) -> Tensor:
        """Returns n draws of q, detached."""
        return sample(q, n)

    @abstractmethod
    def coefficient(self, value: Float[Tensor, "n *batch"], q: Distribution, f: Objective) -> Float[Tensor, "n *batch"]:
        """Returns the factor of each draw's score."""


@register("evolution_strategy")
@dataclass(frozen=True)
class CentredEvolutionStrategy(EvolutionStrategy):
    """(f(μ + σε) − f(μ)) ε/σ: n draws and one evaluation at μ.

    Paper: Rechenberg 1973, Evolutionsstrategie, Frommann-Holzboog; Nesterov, Spokoiny 2017 (Gaussian smoothing), Found.
    Comput. Math. 17, 527–566, equation 30.

    >>> import torch
    >>> from torch.distributions import Normal
    >>> from estimators import Function
    >>> loc = torch.tensor(1.0, requires_grad=True)
    >>> _ = torch.manual_seed(0)
    >>> CentredEvolutionStrategy().surrogate(Normal(loc, 0.5), Function(torch.square), 100_000).backward()
    >>> abs(loc.grad.item() - 2) < 0.1
    True
    """

    traits = Traits(unbiased=True, needs=frozenset({Need.LOCATION}), paper="Nesterov, Spokoiny 2017")

    def coefficient(self, value: Float[Tensor, "n *batch"], q: Distribution, f: Objective) -> Float[Tensor, "n *batch"]:
        return value - f(parameters(q)["loc"], q).detach()


@register("antithetic_evolution_strategy")
@dataclass(frozen=True)
class AntitheticEvolutionStrategy(EvolutionStrategy):
    """(f(μ + σε) − f(μ − σε)) ε/(2σ), the mean over n/2 pairs.

    Paper: Salimans, Ho, Chen, Sidor, Sutskever 2017, arXiv:1703.03864, section 2.1; Brockhoff et al. 2010 (mirrored
    sampling), PPSN XI, 11–21.

    >>> import torch
    >>> from torch.distributions import Normal
    >>> from estimators import Function
    >>> loc = torch.tensor(1.0, requires_grad=True)
    >>> _ = torch.manual_seed(0)
    >>> AntitheticEvolutionStrategy().surrogate(Normal(loc, 0.5), Function(torch.square), 100_000).backward()
    >>> abs(loc.grad.item() - 2) < 0.1
    True
    """

    traits = Traits(
        unbiased=True,
        needs=frozenset({Need.LOCATION, Need.SYMMETRIC}),
        min_samples=2,
        samples_step=2,
        paper="Salimans et al. 2017",
    )

    def draws(self, q: Distribution, n: int) -> Tensor:
        return sample(Mirrored(q), n)

    def coefficient(self, value: Float[Tensor, "n *batch"], q: Distribution, f: Objective) -> Float[Tensor, "n *batch"]:
        return value  # the mirrored score has the other sign, so the mean over a pair is the difference


@register("rank_evolution_strategy")
@dataclass(frozen=True)
class RankedEvolutionStrategy(EvolutionStrategy):
    """u_k ε_k/σ with u_k = rank(f_k)/(n − 1) − ½: centred ranks in place of values.

    Values that are equal up to `rounding` share their mean rank. Biased, and not a gradient of E f: any increasing
    transformation of f gives the same estimate, so its scale is lost.
    Paper: Salimans et al. 2017 (fitness shaping), arXiv:1703.03864, section 2.1; Wierstra et al. 2014, arXiv:1106.4487.

    >>> import torch
    >>> from torch.distributions import Normal
    >>> from estimators import Function
    >>> f = Function(torch.square)
    >>> RankedEvolutionStrategy().coefficient(torch.tensor([10.0, -5.0, 7.0]), Normal(0.0, 1.0), f)
    tensor([ 0.5000, -0.5000,  0.0000])
    """

    traits = Traits(unbiased=False, needs=frozenset({Need.LOCATION}), min_samples=2, paper="Wierstra et al. 2014")

    def coefficient(self, value: Float[Tensor, "n *batch"], q: Distribution, f: Objective) -> Float[Tensor, "n *batch"]:
        return mean_ranks(value) / (len(value) - 1) - 0.5


def mean_ranks(value: Float[Tensor, "n *batch"]) -> Float[Tensor, "n *batch"]:
    """Returns each value's rank among the n, from 0. Consecutive values within `rounding` share their mean rank.

    >>> mean_ranks(torch.tensor([5.0, 2.0, 5.0, 7.0]))
    tensor([1.5000, 0.0000, 1.5000, 3.0000])
    """
    ordered, index = value.sort(0)
    place = torch.arange(len(value), device=value.device).reshape(-1, *(1 for _ in value.shape[1:]))
    rises = ordered.diff(dim=0) > rounding(value)
    first = torch.where(pad_front(rises), place, 0).cummax(0).values
    last = torch.where(pad_front(rises.flip(0)), place, 0).cummax(0).values.flip(0)  # like `first`, from the top
    return torch.zeros_like(value).scatter(0, index, (first + len(value) - 1 - last).to(value) / 2)


def pad_front(rises: Bool[Tensor, "m *batch"]) -> Bool[Tensor, "n *batch"]:
    """Returns `rises` with a True in front: the first value always starts a group."""
    return torch.cat([torch.ones_like(rises[:1]), rises])


@register("smoothing")
@dataclass(frozen=True)
class Smoothing(EvolutionStrategy):
    """−(f_k − mean_{j≠k} f_j) ∂ε log p(ε_k)/σ: smoothing by any noise with a density, leave-one-out as the baseline.

    Paper: Petersen, Borgelt, Mishra, Ermon 2024, arXiv:2410.08125, lemma 3 and theorem 7; Berthet et al. 2020
    (perturbed optimisers), arXiv:2002.08676; Abernethy, Lee, Tewari 2016, in Perturbations, Optimization, and
    Statistics, 233–264.

    >>> import torch
    >>> from torch.distributions import Normal
    >>> from estimators import Function
    >>> loc = torch.tensor(1.0, requires_grad=True)
    >>> _ = torch.manual_seed(0)
    >>> Smoothing().surrogate(Normal(loc, 0.5), Function(torch.square), 100_000).backward()
    >>> abs(loc.grad.item() - 2) < 0.1
    True
    """

    traits = Traits(
        unbiased=True,
        needs=frozenset({Need.LOCATION, Need.INDEPENDENT_DRAWS}),
        min_samples=2,
        paper="Petersen et al. 2024",
    )

    def coefficient(self, value: Float[Tensor, "n *batch"], q: Distribution, f: Objective) -> Float[Tensor, "n *batch"]:
        return value - leave_out(value)
