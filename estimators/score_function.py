"""REINFORCE and related estimators: a coefficient times the score ∇θ log q(z)."""

from abc import abstractmethod
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Estimator, Objective
from estimators.registry import register
from estimators.tools.groups import mean_of_others
from estimators.tools.parameters import sample
from estimators.traits import Need, Traits


def scored(
    value: Float[Tensor, "n *batch"], coefficient: Float[Tensor, "n *batch"], log_q: Float[Tensor, "n *batch"]
) -> Float[Tensor, "*batch"]:
    """Returns the mean over draws of `value`, with the gradient of value + coefficient × score."""
    return (value + coefficient.detach() * (log_q - log_q.detach())).mean(0)


def left_out(value: Float[Tensor, "n *batch"]) -> Float[Tensor, "n *batch"]:
    """Returns each value minus the mean of the others; n ≥ 2.

    >>> import torch
    >>> left_out(torch.tensor([1.0, 3.0]))
    tensor([-2.,  2.])
    """
    return value - mean_of_others(value)


class ScoreFunction(Estimator):
    """coefficient × score. Subclasses define the coefficient."""

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        z = sample(q, n)
        value = f.held(z, q)
        return scored(value, self.coefficient(value.detach()), q.log_prob(z))

    @abstractmethod
    def coefficient(self, value: Float[Tensor, "n *batch"]) -> Float[Tensor, "n *batch"]:
        """Returns the factor of each draw's score, from the values of all draws."""


@register("reinforce")
@dataclass(frozen=True)
class Reinforce(ScoreFunction):
    """f(z) ∇θ log q(z), the likelihood-ratio estimator.

    Paper: Glynn 1990, Commun. ACM 33(10), 75–84; Williams 1992, Machine Learning 8, 229–256, theorem 1.

    >>> import torch
    >>> from torch.distributions import Normal
    >>> from estimators import Function
    >>> loc = torch.tensor(1.0, requires_grad=True)
    >>> _ = torch.manual_seed(0)
    >>> Reinforce().surrogate(Normal(loc, 1.0), Function(torch.square), n=100_000).backward()
    >>> abs(loc.grad.item() - 2) < 0.1
    True
    """

    traits = Traits(unbiased=True, needs=frozenset({Need.DENSITY}), paper="Williams 1992")

    def coefficient(self, value: Float[Tensor, "n *batch"]) -> Float[Tensor, "n *batch"]:
        return value


@register("rloo")
@dataclass(frozen=True)
class LeaveOneOut(ScoreFunction):
    """Each draw's baseline is the mean of the other draws: 1/K Σ (f_k − mean_{j≠k} f_j) s_k.

    Paper: Mnih, Rezende 2016, arXiv:1602.06725; Kool et al. 2019 (Buy 4 REINFORCE samples), OpenReview r1lgTGL5DE.

    >>> import torch
    >>> LeaveOneOut().coefficient(torch.tensor([1.0, 3.0, 8.0]))
    tensor([-4.5000, -1.5000,  6.0000])
    """

    traits = Traits(
        unbiased=True,
        needs=frozenset({Need.DENSITY, Need.INDEPENDENT_DRAWS}),
        min_samples=2,
        paper="Kool et al. 2019",
    )

    def coefficient(self, value: Float[Tensor, "n *batch"]) -> Float[Tensor, "n *batch"]:
        return left_out(value)
