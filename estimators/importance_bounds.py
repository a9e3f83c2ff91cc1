"""Score functions for the importance-weighted bound, which differ in the signal for each of its K draws.

z is `[n, K, *batch, *event]`, n sets of K draws; w_k = p/q, L = log 1/K Σ w_k, v = softmax(log w), s_k = ∇θ log q(z_k).
∇θ E L = E[Σ_k L s_k + ∇θ L at fixed z], and that direct term is −Σ_k v_k s_k: autograd takes it from L itself. On
Rényi's bound, w^{1−α} replaces w everywhere and the estimate is divided by 1 − α, which keeps it unbiased.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Estimator, ImportanceBound, Objective
from estimators.errors import BadInput
from estimators.registry import register
from estimators.tools.parameters import linear, logits, sample, valued
from estimators.traits import Need, Traits

NEEDS = frozenset({Need.DENSITY, Need.IMPORTANCE_BOUND, Need.INDEPENDENT_DRAWS})


def bound_of(f: Objective) -> ImportanceBound:
    """Returns f. Raises `TypeError` if f is not an importance-weighted bound."""
    if not isinstance(f, ImportanceBound):
        raise TypeError(f"expected an ImportanceBound, found {type(f).__name__}")
    return f


def log_mean(log_w: Float[Tensor, "n K ..."]) -> Float[Tensor, "n ..."]:
    """Returns L = log 1/K Σ_k w_k."""
    return log_w.logsumexp(1) - math.log(log_w.shape[1])


def others(log_w: Float[Tensor, "n K ..."]) -> Float[Tensor, "n K ..."]:
    """Returns log Σ_{j≠k} w_j for every k, summed without draw k: a difference of sums would cancel.

    >>> others(torch.tensor([[1.0, 2.0]]))
    tensor([[2., 1.]])
    """
    K = log_w.shape[1]
    own = torch.eye(K, dtype=torch.bool, device=log_w.device).reshape(1, K, K, *(1 for _ in log_w.shape[2:]))
    return log_w.unsqueeze(1).expand(-1, K, *log_w.shape[1:]).masked_fill(own, -math.inf).logsumexp(2)


class BoundScore(Estimator):
    """Σ_k signal_k s_k + ∇θ L. Subclasses define the signal."""

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        bound = bound_of(f)
        z = sample(q, n, bound.draws)
        log_w, log_q = bound.log_weight(z, q), q.log_prob(z)
        signal = self.signal(log_w.detach(), q, bound)
        return (log_mean(log_w) + (signal * (log_q - log_q.detach())).sum(1)).mean(0) / (1 - bound.alpha)

    @abstractmethod
    def signal(self, log_w: Float[Tensor, "n K ..."], q: Distribution, f: ImportanceBound) -> Float[Tensor, "n K ..."]:
        """Returns the factor of each draw's score, apart from the direct term."""


@register("importance_reinforce")
@dataclass(frozen=True)
class ImportanceReinforce(BoundScore):
    """Σ_k (L − v_k) s_k: REINFORCE on the bound.

    Paper: Burda, Grosse, Salakhutdinov 2016 (the bound), arXiv:1509.00519, equation 8; Mnih, Rezende 2016,
    arXiv:1602.06725; both terms together: Le, Kosiorek, Siddharth, Teh, Wood 2019, arXiv:1805.10469, equation 2.

    >>> from torch.distributions import Bernoulli
    >>> q = Bernoulli(logits=torch.tensor(0.5))
    >>> ImportanceReinforce().surrogate(q, ImportanceBound(q.log_prob, draws=4), n=2)
    tensor(0.)
    """

    traits = Traits(unbiased=True, needs=NEEDS, paper="Burda et al. 2016")

    def signal(self, log_w: Float[Tensor, "n K ..."], q: Distribution, f: ImportanceBound) -> Float[Tensor, "n K ..."]:
        return log_mean(log_w).unsqueeze(1).expand_as(log_w)


@register("vimco")
@dataclass(frozen=True)
class Vimco(BoundScore):
    """Σ_k (L − L_{−k}) s_k + ∇θ L, where L_{−k} is L with w_k predicted from the other draws.

    The prediction is their arithmetic mean, so that L_{−k} = log mean_{j≠k} w_j or, with `geometric = True`, their
    geometric mean. Without the direct term ∇θ L the estimator would be biased.
    Paper: Mnih, Rezende 2016, arXiv:1602.06725.
    Differs from the paper: the arithmetic mean is the default, while published code uses the geometric mean.

    >>> from torch.distributions import Bernoulli
    >>> logit = torch.tensor(0.5, requires_grad=True)
    >>> q = Bernoulli(logits=logit)
    >>> Vimco().surrogate(q, ImportanceBound(lambda z: -z.new_tensor(2.0).log() + 0 * z, draws=2), n=1).shape
    torch.Size([])
    """

    traits = Traits(unbiased=True, needs=NEEDS, paper="Mnih, Rezende 2016")

    geometric: bool = False

    def signal(self, log_w: Float[Tensor, "n K ..."], q: Distribution, f: ImportanceBound) -> Float[Tensor, "n K ..."]:
        K, rest = f.draws, others(log_w)
        if self.geometric:
            guess = (log_w.sum(1, keepdim=True) - log_w) / (K - 1)
            without = torch.logaddexp(rest, guess) - math.log(K)
        else:
            without = rest - math.log(K - 1)
        return log_mean(log_w).unsqueeze(1) - without


@register("ovis")
@dataclass(frozen=True)
class Ovis(BoundScore):
    """Σ_k (L − v_k − c_k) s_k, c_k the mean over fresh draws z_k′ of L − v_k with z_k′ in place of z_k.

    The same `fresh` draws serve every k, so a set costs K + fresh evaluations. Raises `BadInput` if `fresh` < 1.
    Paper: Liévin, Dittadi, Christensen, Winther 2020 (OVIS-MC), arXiv:2008.01998.

    >>> from torch.distributions import Bernoulli
    >>> q = Bernoulli(logits=torch.tensor(0.5))
    >>> Ovis().surrogate(q, ImportanceBound(q.log_prob, draws=4), n=2)
    tensor(0.)
    """

    traits = Traits(unbiased=True, needs=NEEDS, paper="Liévin et al. 2020")

    fresh: int = 1

    def __post_init__(self) -> None:
        if self.fresh < 1:
            raise BadInput(f"ovis: fresh must be at least 1, found {self.fresh}")

    def signal(self, log_w: Float[Tensor, "n K ..."], q: Distribution, f: ImportanceBound) -> Float[Tensor, "n K ..."]:
        new = f.log_weight(sample(q, len(log_w), self.fresh), q).detach().unsqueeze(1)  # [n, 1, S, *batch]
        total = torch.logaddexp(others(log_w).unsqueeze(2), new)
        c = (total - math.log(f.draws) - (new - total).exp()).mean(2)
        return log_mean(log_w).unsqueeze(1) - c


@register("ovis_asymptotic")
@dataclass(frozen=True)
class OvisAsymptotic(BoundScore):
    """Σ_k (L − v_k − c_k) s_k with c_k = L_{−k} − γ v_k + (1−γ) log(1 − 1/K), L_{−k} the arithmetic one of VIMCO.

    Unbiased only at γ = 0, where the coefficient is −log(1 − v_k) − v_k; γ = 1 is VIMCO without its direct term.
    Paper: Liévin, Dittadi, Christensen, Winther 2020 (OVIS~), arXiv:2008.01998.

    >>> OvisAsymptotic(gamma=1.0).traits.unbiased
    False
    """

    gamma: float = 0.0

    @cached_property
    def traits(self) -> Traits:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The traits for this `gamma`."""
        return Traits(unbiased=self.gamma == 0, needs=NEEDS, paper="Liévin et al. 2020")

    def signal(self, log_w: Float[Tensor, "n K ..."], q: Distribution, f: ImportanceBound) -> Float[Tensor, "n K ..."]:
        K, v = f.draws, log_w.softmax(1)
        c = others(log_w) - math.log(K - 1) - self.gamma * v + (1 - self.gamma) * math.log(1 - 1 / K)
        return log_mean(log_w).unsqueeze(1) - c


@register("wake")
@dataclass(frozen=True)
class Wake(Estimator):
    """Σ_k v_k s_k: reweighted wake-sleep's wake update of q, an ascent on −KL(p(z | x) ‖ q), not on the bound.

    Biased as an estimate of ∇θ L. For its own target, E_{p(z|x)}[s], the bias is O(1/K), because it is self-normalised.
    Paper: Bornschein, Bengio 2015, arXiv:1406.2751; Le, Kosiorek, Siddharth, Teh, Wood 2019 (wake-wake),
    arXiv:1805.10469.

    >>> from torch.distributions import Bernoulli
    >>> q = Bernoulli(logits=torch.tensor(0.5))
    >>> Wake().surrogate(q, ImportanceBound(q.log_prob, draws=4), n=2)
    tensor(0.)
    """

    traits = Traits(unbiased=False, needs=NEEDS, paper="Bornschein, Bengio 2015")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        bound = bound_of(f)
        z = sample(q, n, bound.draws)
        log_q = q.log_prob(z)
        log_w = bound.held_weight(z, q)
        v = log_w.detach().softmax(1)  # weights of w itself, for any α
        return (log_mean(log_w) + (v * (log_q - log_q.detach())).sum(1)).mean(0)


@register("multi_sample_disarm")
@dataclass(frozen=True)
class MultiSampleDisArm(Estimator):
    """Σ_k ½ (L − L with b̃_k for b_k) (b_k − b̃_k) σ(|φ|) + ∇θ L: DisARM in each of the K draws, the others held fixed.

    b_k and b̃_k share their uniform; a set costs 2K evaluations. Without the direct term the estimator would be biased.
    Paper: Dong, Mnih, Tucker 2020 (multi-sample bounds), arXiv:2006.10680.

    >>> from torch.distributions import Bernoulli
    >>> q = Bernoulli(logits=torch.tensor(0.5))
    >>> MultiSampleDisArm().surrogate(q, ImportanceBound(q.log_prob, draws=4), n=2)
    tensor(0.)
    """

    traits = Traits(unbiased=True, needs=NEEDS | {Need.BINARY, Need.FACTORISED}, paper="Dong, Mnih, Tucker 2020")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        bound, phi = bound_of(f), logits(q)
        t = phi.detach().sigmoid()
        u = torch.rand((n, bound.draws, *t.shape), dtype=t.dtype, device=t.device)
        b, b_tilde = (u < t).to(t.dtype), (1 - u <= t).to(t.dtype)
        log_w = bound.log_weight(b, q)
        swapped = torch.logaddexp(others(log_w.detach()), bound.log_weight(b_tilde, q).detach())
        rise = log_w.detach().logsumexp(1).unsqueeze(1) - swapped
        rise = rise.reshape(*rise.shape, *(1 for _ in q.event_shape))
        gradient = (rise / 2 * (b - b_tilde) * phi.detach().abs().sigmoid()).sum(1)
        return valued(log_mean(log_w).mean(0), linear(gradient.mean(0), phi, q)) / (1 - bound.alpha)
