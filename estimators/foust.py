"""FouST: derivatives at noisy bits, divided by the probability of each drawn bit."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Estimator, Objective, gradient_at
from estimators.registry import register
from estimators.tools.parameters import linear, logits, sample, valued
from estimators.traits import Need, Traits


@register("foust")
@dataclass(frozen=True)
class FouST(Estimator):
    """t(1−t) ∂f(x)/(2 q(b)) with x = ½ + u(b − ½), u ~ U(0, 1): x fills (½, 1) for b = 1 and (0, ½) for b = 0.

    E[f′(x)/2q(b)] = ∫₀¹ f′ = f(1) − f(0), so the mean is exact for one bit and for separable f; otherwise the estimator
    is biased, because the other bits are noisy too. t(1−t)/q(b) is computed as σ(∓φ), without a division.
    Paper: Pervez, Cohen, Gavves 2020, PMLR 119, 7632–7640.
    Differs from the paper: derived here from uniform noise on each bit's half; the paper's scaling of the noise is left
    out.

    >>> from torch.distributions import Bernoulli
    >>> from estimators import Function
    >>> logit = torch.tensor(0.0, requires_grad=True)
    >>> FouST().surrogate(Bernoulli(logits=logit), Function(lambda b: 4 * b), 1).backward()
    >>> logit.grad
    tensor(1.)
    """

    traits = Traits(unbiased=False, needs=frozenset({Need.BINARY, Need.RELAXABLE}), paper="Pervez et al. 2020")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        phi, b = logits(q), sample(q, n)
        x = 0.5 + torch.rand(b.shape, dtype=b.dtype, device=b.device) * (b - 0.5)
        _, slope = gradient_at(lambda x: f(x, q), x)
        gradient = slope * ((1 - 2 * b) * phi.detach()).sigmoid() / 2
        return valued(f.held(b, q).mean(0), linear(gradient.mean(0), phi, q))
