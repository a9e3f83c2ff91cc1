"""Score functions under a change of variables z = T(ε; θ): most of θ's effect by path, the rest by score.

For Gammas and their combinations: a Dirichlet is Gammas divided by their sum, a Beta the first of two.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Beta, Dirichlet, Distribution, Gamma

from estimators.core import Estimator, Objective, held_gradient_at
from estimators.errors import BadInput
from estimators.registry import register
from estimators.tools.noise import uniform
from estimators.tools.parameters import along, base, valued
from estimators.traits import Need, Traits

NEEDS = frozenset({Need.GAMMA, Need.DIFFERENTIABLE})


class Transformed(Estimator):
    """f′(z)·∂θz + f(z)·d/dθ log q_ε(ε; θ) at fixed ε. `moved` defines the map from ε to Gammas and the density of ε."""

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        alpha, made = gammas(q)
        log_x, log_q = self.moved(alpha, n)
        z = made(log_x)
        value, slope = held_gradient_at(f, z, q)
        log_q = log_q.reshape(*value.shape, -1).sum(-1)
        score = value.detach() * (log_q - log_q.detach())
        return valued(value.mean(0), (along(slope, z, q) + score).mean(0))

    @abstractmethod
    def moved(self, alpha: Float[Tensor, "*batch"], n: int) -> tuple[Tensor, Tensor]:
        """Returns log x and log q(T(ε; α); α) + log |∂T/∂ε| for n draws x = T(ε; α) ~ Gamma(α, 1).

        Both have shape `[n, *batch]` and are differentiable in α at fixed ε.
        """


def gammas(q: Distribution) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Returns the shapes of the unit-rate Gammas that compose q, and the function from their logarithms to a draw of q.

    Raises `TypeError` unless q is a Gamma, Beta or Dirichlet.

    >>> alpha, made = gammas(Beta(torch.tensor(2.0), torch.tensor(3.0)))
    >>> alpha, made(torch.tensor([0.0, 0.0]))
    (tensor([2., 3.]), tensor(0.5000))
    """
    inner = base(q)
    if isinstance(inner, Dirichlet):
        return inner.concentration, lambda log_x: log_x.softmax(-1)
    if isinstance(inner, Beta):
        both = torch.stack([inner.concentration1, inner.concentration0], -1)
        return both, lambda log_x: log_x.softmax(-1)[..., 0]
    if not isinstance(inner, Gamma):
        raise TypeError(f"expected a Gamma, Beta or Dirichlet, found {type(inner).__name__}")
    return inner.concentration, lambda log_x: log_x.exp() / inner.rate


def log_gamma_density(log_x: Tensor, alpha: Tensor) -> Tensor:
    """Returns log Gamma(x; α, 1)."""
    return (alpha - 1) * log_x - log_x.exp() - alpha.lgamma()


@register("generalised_reparameterisation")
@dataclass(frozen=True)
class GeneralisedReparameterisation(Transformed):
    """T(ε; α) = exp(ε √ψ₁(α) + ψ(α)) for a Gamma: log x is standardised, so that ε hardly depends on α.

    f′(z) h + f(z) [∂_z log q · h + ∂θ log q + u], h = ∂T/∂θ, u = ∂θ log |∂T/∂ε|.
    Paper: Ruiz, Titsias, Blei 2016, arXiv:1610.02287.

    >>> from estimators import Function
    >>> rate = torch.tensor(2.0, requires_grad=True)
    >>> _ = torch.manual_seed(0)
    >>> GeneralisedReparameterisation().surrogate(Gamma(3.0, rate), Function(lambda z: z), 100_000).backward()
    >>> abs(rate.grad.item() + 0.75) < 0.02
    True
    """

    traits = Traits(unbiased=True, needs=NEEDS, paper="Ruiz, Titsias, Blei 2016")

    def moved(self, alpha: Float[Tensor, "*batch"], n: int) -> tuple[Tensor, Tensor]:
        centre, spread = alpha.digamma(), torch.polygamma(1, alpha).sqrt()
        x = Gamma(alpha.detach(), torch.ones_like(alpha), validate_args=False).sample((n,))
        epsilon = ((x.log() - centre) / spread).detach()
        log_x = epsilon * spread + centre
        return log_x, log_gamma_density(log_x, alpha) + log_x + spread.log()


@register("rejection_reparameterisation")
@dataclass(frozen=True)
class RejectionReparameterisation(Transformed):
    """T = h is the proposal of Marsaglia and Tsang's Gamma sampler, ε the noise that the sampler accepts.

    x = h(ε; α + B) ∏_{i<B} u_i^{1/(α+i)} with h(ε; a) = (a − ⅓)(1 + ε/√(9a − 3))³: B = `boosts` uniforms raise the
    shape, which makes ε nearly Gaussian and the score term small, and covers α < 1 (which needs B ≥ 1). Raises
    `BadInput` if `boosts` < 1.
    Paper: Naesseth, Ruiz, Linderman, Blei 2017 (shape augmentation included), arXiv:1610.05683.

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

    def moved(self, alpha: Float[Tensor, "*batch"], n: int) -> tuple[Tensor, Tensor]:
        raised = alpha + self.boosts
        x = Gamma(raised.detach(), torch.ones_like(raised), validate_args=False).sample((n,))
        third, width = raised - 1 / 3, (9 * raised - 3).sqrt()
        epsilon = (((x / third) ** (1 / 3) - 1) * width).detach()
        root = 1 + epsilon / width
        log_h = third.log() + 3 * root.log()
        log_q = log_gamma_density(log_h, raised) + third.log() + 2 * root.log() - width.log()
        i = torch.arange(self.boosts, dtype=alpha.dtype, device=alpha.device)
        noise = uniform(n, alpha.unsqueeze(-1).expand(*alpha.shape, self.boosts))
        shrink = (noise.log() / (alpha.unsqueeze(-1) + i)).sum(-1)
        return log_h + shrink, log_q
