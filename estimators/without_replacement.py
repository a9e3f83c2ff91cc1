"""Sums over some categories of one variable, and draws without replacement (Gumbel top-k)."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Estimator, Objective
from estimators.registry import register
from estimators.tools.noise import gumbel
from estimators.tools.parameters import logits
from estimators.traits import Need, Traits

NEEDS = frozenset({Need.SINGLE_CATEGORICAL, Need.DENSITY})


def weighted(
    value: Float[Tensor, "K *batch"],
    weight: Float[Tensor, "K *batch"],
    coefficient: Float[Tensor, "K *batch"],
    log_q: Float[Tensor, "K *batch"],
) -> Float[Tensor, "*batch"]:
    """Returns Σ_k w_k f_k, with the gradient Σ_k w_k (∇f_k + coefficient_k ∇ log q_k)."""
    return (weight * value + (weight * coefficient).detach() * (log_q - log_q.detach())).sum(0)


def ranked(score: Float[Tensor, "*batch"], K: int) -> Float[Tensor, "K *batch"]:
    """Returns one-hot vectors of the K categories of highest score, best first: `[*batch, C]` → `[K, *batch, C]`."""
    index = score.topk(K, -1).indices
    one_hot = torch.zeros((*index.shape, score.shape[-1]), dtype=score.dtype, device=score.device)
    return one_hot.scatter(-1, index.unsqueeze(-1), 1.0).movedim(-2, 0)


def log_probabilities(q: Distribution) -> Float[Tensor, "*batch"]:
    """Returns log p of each category, detached, `[*batch, C]`, for an event `[C]` or `[1, C]`."""
    return logits(q).detach().reshape(*q.batch_shape, -1).log_softmax(-1)


def evaluated(q: Distribution, f: Objective, z: Float[Tensor, "K ..."]) -> tuple[Tensor, Tensor]:
    """Returns f and log q at draws `[K, *batch, C]`, both `[K, *batch]`.

    Categories without mass are drawn last and have weight 0. Because f and log q may be infinite there, the first draw
    is evaluated in their place.
    """
    mass = (log_probabilities(q).exp() * z).sum(-1, keepdim=True)
    z = torch.where(mass > 0, z, z[:1])
    z = z.reshape(len(z), *q.batch_shape, *q.event_shape)
    return f.held(z, q), q.log_prob(z)


def without_replacement(log_p: Float[Tensor, "*batch"], K: int) -> tuple[Tensor, Tensor]:
    """Returns K draws without replacement, in order, `[K, *batch, C]`, and κ, the next perturbed log-probability.

    If K covers all categories, κ = −∞.
    Source: Vieira 2014; Kool, van Hoof, Welling 2019 (Gumbel top-k).
    """
    perturbed = log_p + gumbel(1, log_p)[0]
    z = ranked(perturbed, K)
    rest = torch.where(z.sum(0) > 0, -torch.inf, perturbed)
    return z, rest.max(-1).values


def kept_and_left(p: Float[Tensor, "*batch"], z: Float[Tensor, "K *batch"]) -> tuple[Tensor, Tensor]:
    """Returns p of the categories in z, `[K, *batch']`, and of all others, `[*batch']`, summed without cancellation."""
    return (p * z).sum(-1), (p * (1 - z.sum(0))).sum(-1)


def sum_and_sample(q: Distribution, f: Objective, z: Float[Tensor, "K *batch"]) -> Float[Tensor, "..."]:
    """Returns the sum over all of z but the last, with weight p, plus the last with the remaining probability."""
    summed, left = kept_and_left(log_probabilities(q).exp(), z[:-1])
    value, log_q = evaluated(q, f, z)
    return weighted(value, torch.cat([summed, left.unsqueeze(0)]), value, log_q)


@register("top_and_sample")
@dataclass(frozen=True)
class TopAndSample(Estimator):
    """Σ_{x ∈ top} p f s + (1 − p(top)) f(v) s(v): the n − 1 likeliest categories are summed, v is one of the others.

    v is drawn from the other categories; s is the score of the whole q. Exact once n reaches the number of categories.
    Paper: Liu, Regier, Tripuraneni, Jordan, McAuliffe 2019, arXiv:1810.04777.

    >>> from torch.distributions import OneHotCategorical
    >>> from estimators import Function
    >>> q = OneHotCategorical(logits=torch.zeros(3))
    >>> round(TopAndSample().surrogate(q, Function(lambda z: 6 * z[..., 0]), 3).item(), 4)
    2.0
    """

    traits = Traits(unbiased=True, needs=NEEDS, paper="Liu et al. 2019")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        log_p = log_probabilities(q)
        K = min(n, log_p.shape[-1])
        top = ranked(log_p, K - 1)
        others = torch.where(top.sum(0) > 0, -torch.inf, log_p + gumbel(1, log_p)[0])
        return sum_and_sample(q, f, torch.cat([top, ranked(others, 1)]))


@register("sum_and_sample")
@dataclass(frozen=True)
class SumAndSample(Estimator):
    """Σ_{x ∈ S} p f s + (1 − p(S)) f(v) s(v): S is n − 1 draws without replacement, v the next draw.

    Exact once n reaches the number of categories.
    Paper: Liang, Norouzi, Berant, Le, Lao 2018, arXiv:1807.02322; Kool, van Hoof, Welling 2020, arXiv:2002.06043.

    >>> from torch.distributions import OneHotCategorical
    >>> from estimators import Function
    >>> q = OneHotCategorical(logits=torch.zeros(3))
    >>> round(SumAndSample().surrogate(q, Function(lambda z: 6 * z[..., 0]), 3).item(), 4)
    2.0
    """

    traits = Traits(unbiased=True, needs=NEEDS, paper="Liang et al. 2018; Kool et al. 2020")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        log_p = log_probabilities(q)
        return sum_and_sample(q, f, without_replacement(log_p, min(n, log_p.shape[-1]))[0])


def priority_weights(q: Distribution, K: int) -> tuple[Tensor, Tensor, Tensor]:
    """Returns K draws z without replacement, their p, and w = p/q_κ, q_κ the probability of exceeding the threshold κ.

    q_κ = P(log p + Gumbel > κ) = 1 − exp(−e^{log p − κ}), which is e^{log p − κ} where that is small.
    """
    log_p = log_probabilities(q)
    z, kappa = without_replacement(log_p, min(K, log_p.shape[-1]))
    log_p = (log_p * z).sum(-1)
    rate = (log_p - kappa).exp()
    chance = -torch.expm1(-rate)
    return z, log_p.exp(), torch.where(chance > 0, log_p.exp() / torch.where(chance > 0, chance, 1), kappa.exp())


@register("priority_sampling")
@dataclass(frozen=True)
class PrioritySampling(Estimator):
    """Σ_k (p/q_κ) f s over n draws without replacement, κ the perturbed log-probability of the next one.

    The category of κ is not evaluated. Exact once n reaches the number of categories.
    Paper: Kool, van Hoof, Welling 2019 (Buy 4 REINFORCE samples), OpenReview r1lgTGL5DE, equation 9; Duffield, Lund,
    Thorup 2007, J. ACM 54(6).

    >>> from torch.distributions import OneHotCategorical
    >>> from estimators import Function
    >>> q = OneHotCategorical(logits=torch.zeros(3))
    >>> round(PrioritySampling().surrogate(q, Function(lambda z: 6 * z[..., 0]), 3).item(), 4)
    2.0
    """

    traits = Traits(unbiased=True, needs=NEEDS, paper="Kool et al. 2019")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        z, _, w = priority_weights(q, n)
        value, log_q = evaluated(q, f, z)
        return weighted(value, w, value, log_q)


@register("normalised_priority_sampling")
@dataclass(frozen=True)
class NormalisedPrioritySampling(Estimator):
    """Σ_k w/(W − w + p) (f − B/W) s with w = p/q_κ, W = Σ w, B = Σ w f: a built-in baseline, and weights that sum to 1.

    Biased, with less variance. The value is B/W.
    Paper: Kool, van Hoof, Welling 2019 (Buy 4 REINFORCE samples), OpenReview r1lgTGL5DE, equation 11.

    >>> from torch.distributions import OneHotCategorical
    >>> from estimators import Function
    >>> q = OneHotCategorical(logits=torch.zeros(3))
    >>> round(NormalisedPrioritySampling().surrogate(q, Function(lambda z: 0 * z[..., 0] + 2), 2).item(), 4)
    2.0
    """

    traits = Traits(unbiased=False, needs=NEEDS, min_samples=2, valued=False, paper="Kool et al. 2019")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        z, p, w = priority_weights(q, n)
        (value, log_q), W = evaluated(q, f, z), w.sum(0)
        mean = (w * value).sum(0) / W
        score = (w / (W - w + p) * (value - mean)).detach() * (log_q - log_q.detach())
        return mean + score.sum(0)


@register("unordered_set")
@dataclass(frozen=True)
class UnorderedSet(Estimator):
    """Σ_{s∈S} p(s) R(S,s) [f(s) − Σ_{s′∈S} p(s′) R₂(S,s,s′) f(s′)] ∇ log p(s), S a set of n draws without replacement.

    R(S,s) = P(S | s first)/P(S), R₂(S,s,s′) = P(S | s, s′ first)/P(S | s first), R₂(S,s,s) = 1: sum-and-sample averaged
    over the orders in which S may have been drawn. Exact once n reaches the number of categories.
    Paper: Kool, van Hoof, Welling 2020 (Estimating gradients for discrete random variables…), arXiv:2002.06043,
    equations 17 and 18.

    >>> from torch.distributions import OneHotCategorical
    >>> from estimators import Function
    >>> q = OneHotCategorical(logits=torch.zeros(3))
    >>> round(UnorderedSet().surrogate(q, Function(lambda z: 6 * z[..., 0]), 3).item(), 4)
    2.0
    """

    traits = Traits(unbiased=True, needs=NEEDS, min_samples=2, paper="Kool, van Hoof, Welling 2020")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        log_p = log_probabilities(q)
        z, _ = without_replacement(log_p, min(n, log_p.shape[-1]))
        kept = torch.where(z > 0, log_p, 0).sum(-1)
        left = torch.where(z.sum(0) > 0, -torch.inf, log_p).logsumexp(-1)
        whole, first, both = completions(kept, left)
        value, log_q = evaluated(q, f, z)
        baseline = ((kept + both - first.unsqueeze(1)).exp() * value).sum(1)
        return weighted(value, (kept + first - whole).exp(), value - baseline, log_q)


def completions(log_p: Float[Tensor, "K *batch"], left: Float[Tensor, "*batch"]) -> tuple[Tensor, Tensor, Tensor]:
    """Returns log P(S), log P(S | s first) `[K, *batch]` and log P(S | s and s′ first) `[K, K, *batch]`.

    On the diagonal s = s′ of the last, only s is first. `log_p` are the log-probabilities of S's members, `left` that
    of all other categories together. Given the draws A, P(the rest of S is next) = ∫ e^{−x} ∏_{s∈S∖A} (1 − e^{−x
    p_s/left}) dx: exponential clocks of the members, all of which ring before the first of the others does. In t = log
    x the trapezoidal rule is exact to rounding: its error is |Γ(K + 1 + 2πi/step)/Γ(K + 1)|. Computed in float64 and in
    logarithms, because p_s may be below the smallest number.

    >>> whole, first, _ = completions(torch.tensor([0.5, 0.3]).log(), torch.tensor(0.2).log())
    >>> whole.exp(), first.exp()  # ½·⅗ + 0.3·5/7; 3/5, 5/7
    (tensor(0.5143), tensor([0.6000, 0.7143]))
    """
    K = len(log_p)
    step = 0.65 / (K + 6) ** 0.5
    t = torch.arange(-36, math.log(40 + 4 * K), step, dtype=torch.float64, device=left.device)
    t = t.reshape(-1, *(1 for _ in left.shape))
    rung = log1mexpexp(t.unsqueeze(1) + (log_p - left).double())  # log(1 − e^{−x p_s/left}), [nodes, K, *batch]
    density = t - t.exp() + math.log(step) + rung.sum(1)
    half = density.unsqueeze(1) / 2 - rung
    peak = half.amax(0)
    scaled = (half - peak).exp()
    both = torch.einsum("ti...,tj...->ij...", scaled, scaled).log() + peak.unsqueeze(1) + peak
    first = (density.unsqueeze(1) - rung).logsumexp(0)
    own = torch.eye(K, dtype=torch.bool, device=left.device).reshape(K, K, *(1 for _ in left.shape))
    both = torch.where(own, first, both)
    return density.logsumexp(0).to(left), first.to(left), both.to(left)


def log1mexpexp(a: Tensor) -> Tensor:
    """Returns log(1 − e^{−e^a}), which is a where e^a is small.

    >>> [round(value, 4) for value in log1mexpexp(torch.tensor([-1000.0, 0.0, 1.0])).tolist()]
    [-1000.0, -0.4587, -0.0683]
    """
    return torch.where(a < -37, a, (-torch.expm1(-a.clamp_min(-37).exp())).log())
