"""Coupled draws of bits: pairs share a uniform, so that most of the noise cancels in a difference."""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.baselines import spread
from estimators.core import Estimator, Objective
from estimators.registry import register
from estimators.tools.distinct import distinct
from estimators.tools.parameters import linear, logits, valued
from estimators.traits import Need, Traits


class AntitheticBits(Estimator):
    """Pairs b = 1[u < t], b̃ = 1[u > 1 − t] of the same u. Subclasses define the factor of f(b) − f(b̃)."""

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        phi = logits(q)
        t = distinct(phi).sigmoid()
        u = torch.rand((n // 2, *phi.shape), dtype=t.dtype, device=t.device)
        b, b_tilde = (u < t).to(t.dtype), (1 - u <= t).to(t.dtype)
        value = f.held(torch.cat([b, b_tilde]), q)
        f_b, f_tilde = value.detach().chunk(2)
        gradient = spread(f_b - f_tilde, u) * self.factor(u, b, b_tilde, phi)
        return valued(value.mean(0), linear(gradient.mean(0), phi, q))

    @abstractmethod
    def factor(
        self,
        u: Float[Tensor, "m *batch"],
        b: Float[Tensor, "m *batch"],
        b_tilde: Float[Tensor, "m *batch"],
        phi: Float[Tensor, "..."],
    ) -> Float[Tensor, "m *batch"]:
        """Returns the factor of f(b) − f(b̃), per coordinate of the logits φ."""


@register("arm")
@dataclass(frozen=True)
class Arm(AntitheticBits):
    """Augment-REINFORCE-merge: (f(1[u > 1−t]) − f(1[u < t])) (u − ½); n draws are n/2 pairs that share u.

    Paper: Yin, Zhou 2019 (ARM), arXiv:1807.11143, theorem 1.

    >>> from torch.distributions import Bernoulli
    >>> from estimators import Function
    >>> logit = torch.tensor(0.0, requires_grad=True)
    >>> _ = torch.manual_seed(0)
    >>> Arm().surrogate(Bernoulli(logits=logit), Function(lambda b: 4 * b), 100_000).backward()
    >>> abs(logit.grad.item() - 1) < 0.02
    True
    """

    traits = Traits(
        unbiased=True, needs=frozenset({Need.BINARY}), min_samples=2, samples_step=2, paper="Yin, Zhou 2019"
    )

    def factor(
        self,
        u: Float[Tensor, "m *batch"],
        b: Float[Tensor, "m *batch"],
        b_tilde: Float[Tensor, "m *batch"],
        phi: Float[Tensor, "..."],
    ) -> Float[Tensor, "m *batch"]:
        return 0.5 - u


@register("disarm")
@dataclass(frozen=True)
class DisArm(AntitheticBits):
    """ARM with its uniform integrated out: ½ (f(b) − f(b̃)) (−1)^{b̃} 1[b≠b̃] σ(|φ|), the mean over n/2 pairs.

    (−1)^{b̃} 1[b≠b̃] is b − b̃. σ(|φ|) is exact where 1/(1−t) would overflow. Also called U2G. A baseline from other
    pairs would have no effect, because it cancels in f(b) − f(b̃).
    Paper: Dong, Mnih, Tucker 2020, arXiv:2006.10680; Yin, Ho, Yan, Qian, Zhou 2020, arXiv:2006.06448.

    >>> from torch.distributions import Bernoulli
    >>> from estimators import Function
    >>> logit = torch.tensor(0.0, requires_grad=True)
    >>> DisArm().surrogate(Bernoulli(logits=logit), Function(lambda b: 4 * b), 2).backward()
    >>> logit.grad  # at p = ½ a pair always differs: no variance
    tensor(1.)
    """

    traits = Traits(
        unbiased=True, needs=frozenset({Need.BINARY}), min_samples=2, samples_step=2, paper="Dong, Mnih, Tucker 2020"
    )

    def factor(
        self,
        u: Float[Tensor, "m *batch"],
        b: Float[Tensor, "m *batch"],
        b_tilde: Float[Tensor, "m *batch"],
        phi: Float[Tensor, "..."],
    ) -> Float[Tensor, "m *batch"]:
        return (b - b_tilde) * distinct(phi).abs().sigmoid() / 2


@register("ar")
@dataclass(frozen=True)
class AugmentReinforce(Estimator):
    """Augment-REINFORCE: f(1[u < t]) (1 − 2u), the score of the uniform in place of the bit's score.

    Paper: Yin, Zhou 2019 (augment-REINFORCE), arXiv:1807.11143, section 2.

    >>> from torch.distributions import Bernoulli
    >>> from estimators import Function
    >>> logit = torch.tensor(0.0, requires_grad=True)
    >>> _ = torch.manual_seed(0)
    >>> AugmentReinforce().surrogate(Bernoulli(logits=logit), Function(lambda b: 4 * b), 100_000).backward()
    >>> abs(logit.grad.item() - 1) < 0.02
    True
    """

    traits = Traits(unbiased=True, needs=frozenset({Need.BINARY}), paper="Yin, Zhou 2019")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        phi = logits(q)
        t = distinct(phi).sigmoid()
        u = torch.rand((n, *phi.shape), dtype=t.dtype, device=t.device)
        value = f.held((u < t).to(t.dtype), q)
        gradient = spread(value.detach(), u) * (1 - 2 * u)
        return valued(value.mean(0), linear(gradient.mean(0), phi, q))
