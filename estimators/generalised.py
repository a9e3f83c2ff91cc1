"""Score functions under a change of variables: z = T(ε; θ), most of θ's effect by path, the rest by score."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Gamma

from estimators.control_variates import flat
from estimators.core import Estimator, Need, Objective, Traits, held_gradient_at
from estimators.errors import BadInput
from estimators.noise import uniform
from estimators.parameters import along, base, valued
from estimators.registry import register

NEEDS = frozenset({Need.GAMMA, Need.DIFFERENTIABLE})


class Transformed(Estimator):
    """f′(z)·∂θz + f(z)·d/dθ log q_ε(ε; θ) at fixed ε: `moved` gives z(θ) and log q_ε(ε; θ)."""

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        z, log_q = self.moved(q, cast(Gamma, base(q)), n)
        (value, slope), log_q = held_gradient_at(f, z, q), flat(log_q, q).sum(-1)
        score = value.detach() * (log_q - log_q.detach())
        return valued(value.mean(0), (along(slope, z, q) + score).mean(0))

    @abstractmethod
    def moved(self, q: Distribution, gamma: Gamma, n: int) -> tuple[Tensor, Tensor]:
        """Draws z = T(ε; θ), and per coordinate log q(T(ε; θ); θ) + log |∂T/∂ε|, differentiable in θ at fixed ε."""


@register("generalised_reparameterisation")
@dataclass(frozen=True)
class GeneralisedReparameterisation(Transformed):
    """T(ε; α, β) = exp(ε √ψ₁(α) + ψ(α))/β for a Gamma: log z standardised, so that ε hardly depends on α.

    f′(z) h + f(z) [∂_z log q · h + ∂θ log q + u], h = ∂T/∂θ, u = ∂θ log |∂T/∂ε|.
    Paper: Ruiz, Titsias, Blei 2016.

    >>> from estimators import Function
    >>> rate = torch.tensor(2.0, requires_grad=True)
    >>> _ = torch.manual_seed(0)
    >>> GeneralisedReparameterisation().surrogate(Gamma(3.0, rate), Function(lambda z: z), 100_000).backward()
    >>> abs(rate.grad.item() + 0.75) < 0.02
    True
    """

    traits = Traits(unbiased=True, needs=NEEDS, paper="Ruiz, Titsias, Blei 2016")

    def moved(self, q: Distribution, gamma: Gamma, n: int) -> tuple[Tensor, Tensor]:
        alpha, beta = gamma.concentration, gamma.rate
        centre, spread = alpha.digamma(), torch.polygamma(1, alpha).sqrt()
        epsilon = (((q.sample((n,)) * beta).log() - centre) / spread).detach()
        log_z = epsilon * spread + centre - beta.log()
        return log_z.exp(), log_density(log_z, alpha, beta) + log_z + spread.log()


def log_density(log_z: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """log Gamma(z; α, β)."""
    return alpha * beta.log() + (alpha - 1) * log_z - beta * log_z.exp() - alpha.lgamma()


@register("rejection_reparameterisation")
@dataclass(frozen=True)
class RejectionReparameterisation(Transformed):
    """T = h is the proposal of Marsaglia and Tsang's sampler of a Gamma, ε the noise that it accepts.

    z = h(ε; α + B) ∏_{i<B} u_i^{1/(α+i)}/β with h(ε; a) = (a − ⅓)(1 + ε/√(9a − 3))³: B = `boosts` uniforms raise the
    shape, which makes ε nearly Gaussian and the score term small, and serves α < 1 (B ≥ 1 there).
    Paper: Naesseth, Ruiz, Linderman, Blei 2017 (shape augmentation included).

    >>> from estimators import Function
    >>> rate = torch.tensor(2.0, requires_grad=True)
    >>> _ = torch.manual_seed(0)
    >>> RejectionReparameterisation().surrogate(Gamma(3.0, rate), Function(lambda z: z), 100_000).backward()
    >>> abs(rate.grad.item() + 0.75) < 0.02
    True
    """

    traits = Traits(unbiased=True, needs=NEEDS, paper="Naesseth et al. 2017")

    boosts: int = 1

    def __post_init__(self) -> None:
        if self.boosts < 1:
            raise BadInput(f"rejection_reparameterisation: boosts must be at least 1, found {self.boosts}")

    def moved(self, q: Distribution, gamma: Gamma, n: int) -> tuple[Tensor, Tensor]:
        alpha, beta = gamma.concentration, gamma.rate
        raised = alpha + self.boosts
        x = Gamma(raised.detach(), torch.ones_like(raised), validate_args=False).sample((n,))
        third, width = raised - 1 / 3, (9 * raised - 3).sqrt()
        epsilon = (((x / third) ** (1 / 3) - 1) * width).detach()
        root = 1 + epsilon / width
        log_h = third.log() + 3 * root.log()
        log_q = log_density(log_h, raised, torch.ones_like(raised)) + third.log() + 2 * root.log() - width.log()
        i = torch.arange(self.boosts, dtype=alpha.dtype, device=alpha.device)
        noise = uniform(n, alpha.unsqueeze(-1).expand(*alpha.shape, self.boosts))
        shrink = (noise.log() / (alpha.unsqueeze(-1) + i)).sum(-1)
        return (log_h + shrink).exp() / beta, log_q
