"""DiCE: a surrogate whose derivatives of every order are unbiased."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Estimator, Objective
from estimators.registry import register
from estimators.tools.parameters import sample
from estimators.traits import Need, Traits


@register("dice")
@dataclass(frozen=True)
class Dice(Estimator):
    """□ f(z), □ = exp(log q(z) − stop(log q(z))), which equals 1 and has the derivative □ ∇θ log q.

    The first derivative is REINFORCE. f keeps its whole dependence on θ, including −log q, because higher orders need
    it.
    Paper: Foerster et al. 2018, arXiv:1802.05098.

    >>> import torch
    >>> from torch.distributions import Bernoulli
    >>> from estimators import Function
    >>> q = Bernoulli(logits=torch.zeros(3))
    >>> Dice().surrogate(q, Function(lambda z: 0 * z + 2), 5)
    tensor([2., 2., 2.])
    """

    traits = Traits(unbiased=True, needs=frozenset({Need.DENSITY}), paper="Foerster et al. 2018")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        z = sample(q, n)
        log_q = q.log_prob(z)
        return ((log_q - log_q.detach()).exp() * f(z, q)).mean(0)
