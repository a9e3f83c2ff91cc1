"""Relaxations: continuous versions of bits and one-hot variables, by Gumbel noise and a temperature."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Bernoulli, Distribution

from estimators.core import Estimator, Objective
from estimators.errors import BadInput
from estimators.registry import register
from estimators.tools.noise import gumbel, logistic
from estimators.tools.parameters import base, logits, valued
from estimators.traits import Need, Traits


def is_bits(q: Distribution) -> bool:
    """Returns whether q consists of bits; otherwise it consists of one-hot variables."""
    return isinstance(base(q), Bernoulli)


def perturbed(q: Distribution, n: int) -> Float[Tensor, "n ..."]:
    """Returns logits plus noise, `[n, *batch, *event]`, differentiable; `hardened` maps them to draws of q.

    Logistic noise for bits, Gumbel noise for one-hot variables.
    """
    phi = logits(q)
    return phi + (logistic(n, phi) if is_bits(q) else gumbel(n, phi))


def hardened(z: Float[Tensor, "..."], q: Distribution) -> Float[Tensor, "..."]:
    """Returns the discrete value of perturbed logits: the sign as a bit, or the one-hot vector of the largest.

    >>> from torch.distributions import OneHotCategorical
    >>> hardened(torch.tensor([0.3, 2.0, -1.0]), OneHotCategorical(logits=torch.zeros(3)))
    tensor([0., 1., 0.])
    """
    if is_bits(q):
        return (z > 0).to(z.dtype)
    return torch.zeros_like(z).scatter(-1, z.argmax(-1, keepdim=True), 1.0)


def softened(z: Float[Tensor, "..."], q: Distribution, temperature: float | Tensor) -> Float[Tensor, "..."]:
    """Returns the relaxed value of perturbed logits: σ(z/τ), or softmax(z/τ) over categories.

    Raises `BadInput` for a temperature that z's dtype does not resolve.
    """
    if not isinstance(temperature, Tensor):
        resolved(temperature, z.dtype)
    return (z / temperature).sigmoid() if is_bits(q) else (z / temperature).softmax(-1)


STEPS = 16
"""The lowest temperature, in units of relative rounding (eps)."""


def resolved(temperature: float, dtype: torch.dtype) -> None:
    """Raises `BadInput` if perturbed logits are rounded so coarsely that z/τ only shows which logit is largest.

    Noise is up to 16 in float32 (36 in float64), so z is rounded by 8 eps, and z/τ by 8 eps/τ: at τ = 16 eps by ½ in
    the worst case and by about 1/16 for the usual |z| of 1 to 2. Below this temperature, relaxed draws are one-hot by
    rounding and have no gradient. Above, a draw has a gradient with a probability of about 100 τ (745 τ in float64),
    and that gradient has size 1/τ.

    >>> resolved(0.1, torch.float32)
    """
    lowest = STEPS * torch.finfo(dtype).eps
    if temperature < lowest:
        raise BadInput(
            f"a temperature of {temperature} is not resolved in {str(dtype).removeprefix('torch.')}, where relaxed "
            f"draws are one-hot by rounding and have no gradient; {lowest:.1e} or more would be right"
        )


@dataclass(frozen=True)
class Relaxed(Estimator):
    """An estimator with a fixed temperature τ > 0. Raises `BadInput` for any other temperature."""

    temperature: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise BadInput(f"the temperature must be above 0 and finite, found {self.temperature}")


@register("gumbel_softmax")
@dataclass(frozen=True)
class GumbelSoftmax(Relaxed):
    """∇θ f(softmax((l + g)/τ)), g Gumbel; for bits the binary Concrete ∇θ f(σ((φ + logit u)/τ)).

    Biased: the estimate is the gradient of the relaxed objective. On a bit and (b − t)² the bias is τ p(1−p)(2p−1) +
    O(τ²), and the variance grows as 1/τ.
    Paper: Maddison, Mnih, Teh 2017, arXiv:1611.00712, equation 10; Jang, Gu, Poole 2017, arXiv:1611.01144, equation 2.

    >>> from torch.distributions import OneHotCategorical
    >>> from estimators import Function
    >>> q = OneHotCategorical(logits=torch.zeros(4))
    >>> value = GumbelSoftmax(temperature=0.1).surrogate(q, Function(lambda x: x.sum(-1)), 10)
    >>> torch.isclose(value, torch.tensor(1.0))  # relaxed draws lie on the simplex
    tensor(True)
    """

    traits = Traits(
        unbiased=False,
        needs=frozenset({Need.FINITE, Need.RELAXABLE}),
        valued=False,
        paper="Maddison et al. 2017; Jang et al. 2017",
    )

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        return f(softened(perturbed(q, n), q, self.temperature), q).mean(0)


@register("straight_through_gumbel")
@dataclass(frozen=True)
class StraightThroughGumbel(Relaxed):
    """f(D) at the hard draw D = argmax(l + g); the gradient is f′(D) · ∂softmax((l + g)/τ)/∂l.

    Biased.
    Paper: Jang, Gu, Poole 2017, arXiv:1611.01144, section 2.2.

    >>> from torch.distributions import Bernoulli
    >>> from estimators import Function
    >>> value = StraightThroughGumbel().surrogate(Bernoulli(logits=torch.zeros(8)), Function(lambda b: b), 1)
    >>> bool(((value == 0) | (value == 1)).all())
    True
    """

    traits = Traits(unbiased=False, needs=frozenset({Need.FINITE, Need.RELAXABLE}), paper="Jang et al. 2017")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        z = perturbed(q, n)
        return f(valued(hardened(z, q), softened(z, q, self.temperature)), q).mean(0)
