"""Straight-through estimators: hard draws in the forward pass, a soft derivative in the backward pass."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Estimator, Objective
from estimators.errors import BadInput
from estimators.rebar import conditioned
from estimators.registry import register
from estimators.relaxed import Relaxed, is_bits, softened
from estimators.tools.parameters import bounded, logits, sample, valued
from estimators.traits import Need, Traits


@register("straight_through")
@dataclass(frozen=True)
class StraightThrough(Estimator):
    """J(p) f′(z) with z ~ q hard: f receives the draw, and the gradient passes to the mean p as if z were p.

    For bits J(p) = p(1−p), for one-hot variables J(p)v = p∘v − p⟨p,v⟩. Biased: on a bit and (b − t)² by p(1−p)(2p − 1).
    Paper: Bengio, Léonard, Courville 2013, arXiv:1308.3432; with the mean's derivative, as here: Gu, Levine, Sutskever,
    Mnih 2016, arXiv:1511.05176, equation 4.
    Differs from the paper: Bengio et al. pass the gradient on to the logit unchanged or times the sigmoid's derivative;
    here it is multiplied by the sigmoid's derivative and, for one-hot variables, by the softmax's.

    >>> from torch.distributions import Bernoulli
    >>> from estimators import Function
    >>> probs = torch.tensor(0.3, requires_grad=True)
    >>> StraightThrough().surrogate(Bernoulli(probs), Function(lambda b: 5 * b), 1).backward()
    >>> probs.grad  # exact on a linear f
    tensor(5.)
    """

    traits = Traits(unbiased=False, needs=frozenset({Need.FINITE, Need.RELAXABLE}), paper="Bengio et al. 2013")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        return f(valued(sample(q, n), q.mean), q).mean(0)


@register("reinmax")
@dataclass(frozen=True)
class ReinMax(Estimator):
    """2 J((p_τ + D)/2) f′(D) − ½ J(p) f′(D): straight-through made second-order accurate by Heun's method.

    p_τ = softmax(l/τ), D ~ q, J(π)v = π∘v − π⟨π,v⟩. Exact on every quadratic f at τ = 1, otherwise biased. Raises
    `BadInput` unless τ ≥ 1.
    Paper: Liu, Dong, Liu, Yu, Gao 2023 (ReinMax), arXiv:2304.08612, algorithm 2.

    >>> from torch.distributions import Bernoulli
    >>> from estimators import Function
    >>> logit = torch.tensor(1.0, requires_grad=True)
    >>> _ = torch.manual_seed(0)
    >>> ReinMax().surrogate(Bernoulli(logits=logit), Function(lambda b: (b - 0.5) ** 2), 100_000).backward()
    >>> abs(logit.grad.item()) < 0.002
    True
    """

    traits = Traits(unbiased=False, needs=frozenset({Need.FINITE, Need.RELAXABLE}), paper="Liu et al. 2023")

    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature >= 1:
            raise BadInput(f"reinmax: the temperature must be at least 1, found {self.temperature}")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        hard, phi = sample(q, n), bounded(logits(q))
        halfway = (softened(phi, q, self.temperature) + hard) / 2
        path = 2 * softmax_jacobian(halfway, phi, q) - softmax_jacobian(q.mean, phi, q) / 2
        return f(valued(hard, path), q).mean(0)


def softmax_jacobian(pi: Float[Tensor, "..."], v: Float[Tensor, "..."], q: Distribution) -> Float[Tensor, "..."]:
    """Returns J(π)v = π∘v − π⟨π,v⟩ at detached π; for bits π(1−π)v. J is symmetric: its gradient in v is J(π) too."""
    pi = pi.detach()
    return pi * (1 - pi) * v if is_bits(q) else pi * (v - (pi * v).sum(-1, keepdim=True))


@register("gumbel_rao")
@dataclass(frozen=True)
class GumbelRao(Relaxed):
    """f′(D) · mean_m ∂softmax((l + G_m)/τ)/∂l, the noise G_m ~ Gumbel given that D wins, m = 1 … `noises`.

    Straight-through Gumbel with its noise averaged given the draw: the same mean, so biased, with less variance for
    `noises` ≥ 2. The noise is held fixed in the derivative. Raises `BadInput` if `noises` < 1.
    Paper: Paulus, Maddison, Krause 2021, arXiv:2010.04838, section 3.2, equations 9 and 10.

    >>> GumbelRao(noises=5)
    GumbelRao(temperature=0.5, noises=5)
    """

    traits = Traits(unbiased=False, needs=frozenset({Need.FINITE, Need.RELAXABLE}), paper="Paulus et al. 2021")

    noises: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.noises < 1:
            raise BadInput(f"gumbel_rao: noises must be at least 1, found {self.noises}")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        hard = sample(q, n)
        winning = conditioned(q, hard.repeat(self.noises, *(1 for _ in hard.shape[1:]))).detach()
        soft = softened(valued(winning, bounded(logits(q))), q, self.temperature)
        return f(valued(hard, soft.reshape(self.noises, *hard.shape).mean(0)), q).mean(0)


@register("gapped_straight_through")
@dataclass(frozen=True)
class GappedStraightThrough(Relaxed):
    """f′(D) · ∂softmax((l + m)/τ)/∂l, where m, held fixed, makes D ~ q win by a gap of at least 1, without noise.

    m raises D's logit to the largest, max l, and lowers the others to max l − 1 at most. For bits, whose other category
    has logit 0, the result is ±max(±φ, 1), with the sign of the bit. Biased.
    Paper: Fan, Chi, Rudnicky, Ramadge 2022, arXiv:2206.07235.
    Differs from the paper: bits, which the paper does not cover, are treated as two categories, one of them with logit
    0.

    >>> GappedStraightThrough().winning(torch.tensor([2.0, 1.5, -1.0]), torch.tensor([0.0, 1.0, 0.0]))
    tensor([ 1.,  2., -1.])
    """

    traits = Traits(unbiased=False, needs=frozenset({Need.FINITE, Need.RELAXABLE}), paper="Fan et al. 2022")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        hard, phi = sample(q, n), bounded(logits(q))
        lowest = -1 / math.log(torch.finfo(phi.dtype).tiny)
        if self.temperature < lowest:
            raise BadInput(
                f"a temperature of {self.temperature} leaves no gradient in {str(phi.dtype).removeprefix('torch.')}: "
                f"a gap of 1 weighs e^(-1/temperature), which is 0 there; {lowest:.1e} or more would be right"
            )
        sign = 2 * hard - 1
        winning = sign * (sign * phi).clamp_min(1) if is_bits(q) else self.winning(phi, hard)
        return f(valued(hard, softened(valued(winning.detach(), phi), q, self.temperature)), q).mean(0)

    def winning(self, phi: Float[Tensor, "..."], hard: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Returns logits in which the drawn category is the largest, by a gap of at least 1."""
        top = phi.max(-1, keepdim=True).values
        return hard * top + (1 - hard) * torch.minimum(phi, top - 1)
