"""Objectives of the sorted rewards of K draws, and their mean over all sets of K among N draws.

f = Σ_i c_i r_(i), with r_(1) ≤ … ≤ r_(K) the sorted rewards: the largest (max@K; pass@K where rewards are 0 and 1),
the mean of the smallest share (conditional value at risk), a median. Of N ≥ K draws there are C(N, K) sets S, and
1/C(N, K) Σ_S f(S) Σ_{k∈S} s_k = Σ_k w_k s_k is an unbiased estimate of ∇ E f that uses each draw in many sets
(a U-statistic: Hoeffding 1948, Ann. Math. Stat. 19, 293–325). All w follow from one sort: the j-th smallest of N is the
i-th smallest of C(j−1, i−1) C(N−j, K−i) sets.
"""

from collections.abc import Callable, Sequence
from math import comb, isfinite, log
from typing import Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import SetObjective, asked
from estimators.errors import BadInput, nearest
from estimators.tools.calls import as_real

SetBaseline = Literal["none", "smaller", "others"]
BASELINES: tuple[SetBaseline, ...] = ("none", "smaller", "others")


class OrderStatistics(SetObjective):
    """Σ_i c_i r_(i) of K draws at once, r_(1) ≤ … ≤ r_(K) the sorted rewards r(z_k) and c = `weights`.

    Args:
        reward: z ↦ r(z), one number per draw.
        weights: c, K ≥ 2 numbers, from the smallest reward's to the largest's. A tensor keeps its device: on a GPU, c
            should be there, so that no call waits for a copy.
        differentiable: whether the reward is differentiable in z wherever q has mass; f is then differentiable except
            where two rewards are equal, and continuous there.

    Raises:
        BadInput: fewer than 2 weights, or a weight that is not a finite number.

    >>> f = OrderStatistics.maximum(lambda z: z, draws=3)
    >>> f(torch.tensor([[3.0, 1.0, 2.0]]), None)
    tensor([3.])
    """

    twice_differentiable = relaxable = False

    def __init__(
        self, reward: Callable[[Tensor], Tensor], weights: Sequence[float] | Tensor, *, differentiable: bool = False
    ) -> None:
        self.reward = reward
        self.weights = checked_weights(weights)
        self.draws = len(weights)
        self.differentiable = differentiable

    @classmethod
    def maximum(
        cls, reward: Callable[[Tensor], Tensor], draws: int, *, differentiable: bool = False
    ) -> "OrderStatistics":
        """Returns max_k r(z_k): max@K, and pass@K where rewards are 0 and 1 (Chen et al. 2021, arXiv:2107.03374)."""
        return cls(reward, maximum_weights(draws), differentiable=differentiable)

    @classmethod
    def conditional_value_at_risk(
        cls, reward: Callable[[Tensor], Tensor], draws: int, share: float, *, differentiable: bool = False
    ) -> "OrderStatistics":
        """Returns the conditional value at risk of K draws, the mean of the smallest `share` of their rewards.

        Where `share` · K is not whole, the next reward counts in part. As K grows, it tends to E[r | r ≤ its quantile]
        (Rockafellar, Uryasev 2000, J. Risk 2(3), 21–41; Acerbi, Tasche 2002, J. Banking Finance 26, 1487–1503).
        """
        return cls(reward, tail_weights(draws, share), differentiable=differentiable)

    def rewards(self, z: Tensor, q: Distribution | None = None) -> Tensor:
        """Returns r of every draw, `[*sample, *batch]`."""
        return asked(self.reward, z)

    def __call__(self, z: Tensor, q: Distribution | None = None) -> Tensor:
        rising = self.rewards(z, q).sort(1).values.movedim(1, -1)
        return weighed_rewards(self.weights.to(rising), rising).sum(-1)


def checked_weights(weights: Sequence[float] | Tensor) -> Float[Tensor, " K"]:
    """Returns the weights in float64. Raises `BadInput` if there are fewer than 2, or if one is not finite."""
    given = torch.as_tensor(weights, dtype=torch.float64)
    if given.is_meta:  # without values: nothing to check
        return given
    if given.dim() != 1 or len(given) < 2 or not all(map(isfinite, given.tolist())):
        raise BadInput(f"an objective of sets has at least 2 weights, all finite; found {given.tolist()}")
    return given


def maximum_weights(draws: int) -> tuple[float, ...]:
    """Returns the weights of the largest of K rewards.

    >>> maximum_weights(3)
    (0.0, 0.0, 1.0)
    """
    return (*[0.0] * (draws - 1), 1.0)


def tail_weights(draws: int, share: float) -> tuple[float, ...]:
    """Returns the weights of the mean of the smallest share of K rewards. Raises `BadInput` unless 0 < share ≤ 1.

    >>> tail_weights(5, 0.5)
    (0.4, 0.4, 0.2, 0.0, 0.0)
    """
    if not 0 < share <= 1:
        raise BadInput(f"the share of a conditional value at risk must be in (0, 1], found {share}")
    amount = share * draws
    return tuple(min(max(amount - i, 0.0), 1.0) / amount for i in range(draws))


def smaller_weights(c: Float[Tensor, " K"]) -> Float[Tensor, " less"]:
    """Returns the weights of the same objective for K − 1 draws: the same weight for the same quantiles.

    c_i is spread evenly over the quantiles from (i − 1)/K to i/K, so that c′_i = ((K − i) c_i + i c_{i+1})/(K − 1).

    >>> smaller_weights(torch.tensor([0.0, 0.0, 1.0])), smaller_weights(torch.full((4,), 0.25))
    (tensor([0., 1.]), tensor([0.3333, 0.3333, 0.3333]))
    """
    i = torch.arange(1, len(c), dtype=c.dtype, device=c.device)
    return ((len(c) - i) * c[:-1] + i * c[1:]) / (len(c) - 1)


def rank_coefficients(
    c: Float[Tensor, " K"], N: int, baseline: SetBaseline
) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"], Float[Tensor, " N"]]:
    """Returns own, lower, upper with w_ρ = own_ρ r_ρ + Σ_{j<ρ} lower_j r_j + Σ_{j>ρ} upper_j r_j.

    ρ and j are ranks from 1 to N. For a given j, all draws above it have one coefficient, as have all below it. Σ_ρ
    own_ρ r_ρ is the mean of f over all sets.
    """
    K, j = len(c), torch.arange(1, N + 1, dtype=c.dtype, device=c.device)
    own = share_of_sets(c, j - 1, N - j, comb(N, K))
    lower = share_of_sets(c[:-1], j - 1, N - j - 1, comb(N, K))  # the set has a draw above j
    upper = share_of_sets(c[1:], j - 2, N - j, comb(N, K))  # the set has a draw below j
    if baseline == "smaller":
        others = share_of_sets(smaller_weights(c), j - 1, N - 1 - j, comb(N, K))
    elif baseline == "others":
        others = share_of_sets(c, j - 1, N - 1 - j, comb(N - 1, K)) * (K / N)
    else:
        return own, lower, upper
    return (
        own,
        lower - others,
        upper - others.roll(1),
    )  # j below ρ has rank j among the others, j above ρ has rank j − 1


def share_of_sets(
    c: Float[Tensor, " K"], below: Float[Tensor, " N"], above: Float[Tensor, " N"], sets: int
) -> Float[Tensor, " N"]:
    """Returns Σ_i c_i C(below, i) C(above, K − 1 − i)/sets, i from 0 to K − 1; 0 where a count is negative.

    >>> share_of_sets(torch.tensor([0.0, 1.0]), torch.tensor([2.0]), torch.tensor([0.0]), sets=3)
    tensor([0.6667])
    """
    i = torch.arange(len(c), dtype=c.dtype, device=c.device).unsqueeze(-1)
    return c @ (log_choose(below, i) + log_choose(above, len(c) - 1 - i) - log(sets)).exp()


def log_choose(n: Float[Tensor, " N"], k: Float[Tensor, "K 1"]) -> Float[Tensor, "K N"]:
    """Returns log C(n, k), −∞ where n < k."""
    left = n - k
    count = (n.clamp_min(0) + 1).lgamma() - (k + 1).lgamma() - (left.clamp_min(0) + 1).lgamma()
    return torch.where(left >= 0, count, -torch.inf)


def subset_coefficients(
    rewards: Shaped[Tensor, "N *batch"], weights: Sequence[float] | Tensor, baseline: SetBaseline = "smaller"
) -> tuple[Float[Tensor, "N *batch"], Float[Tensor, "*batch"]]:
    """Returns w with Σ_k w_k s_k an unbiased estimate of ∇ E Σ_i c_i r_(i), and the mean of f over all sets of K draws.

    s_k = ∇θ log q(z_k); there is no further 1/N. The sets' value is differentiable in the rewards, w is not.

    Args:
        rewards: r(z_k) of N ≥ K independent draws; numbers or booleans.
        weights: c, K numbers, from the smallest reward's to the largest's (`maximum_weights`, `tail_weights`).
        baseline: what is subtracted from each set's value for its draw k. "none"; "smaller": the same objective of the
            set's other K − 1 draws, so that for a maximum only the best draw counts; "others": the mean over the sets
            without k, N > K. Both are independent of z_k, so the mean stays the same.

    Raises:
        BadInput: too few draws, or an unknown baseline.

    Walder, Karkhanis 2025 (max@K and its leave-one-out forms), arXiv:2505.15201; for other weights derived here.

    >>> subset_coefficients(torch.tensor([0.0, 5.0, 3.0]), maximum_weights(3))[0]
    tensor([0., 2., 0.])
    """
    rewards = as_real(rewards, torch.get_default_dtype())
    c, N = torch.as_tensor(weights, dtype=torch.float64, device=rewards.device), len(rewards)
    if baseline not in BASELINES:
        raise BadInput(f"baseline: there is no {baseline!r}; {nearest(str(baseline), BASELINES)}")
    fewest = len(c) + (baseline == "others")
    if fewest > N:
        raise BadInput(f"{N} rewards are too few for sets of {len(c)} with baseline {baseline!r}; at least {fewest}")
    rising, order = rewards.sort(0)
    shape = (N, *(1 for _ in rising.shape[1:]))
    own, lower, upper = (each.to(rising).reshape(shape) for each in rank_coefficients(c, N, baseline))
    r = rising.detach()
    if baseline != "none":  # a constant changes nothing; without this, large rewards would cancel
        least = torch.where(r.isfinite(), r, torch.inf).amin(0)
        r = r - torch.where(least.isfinite(), least, 0)
    w = (
        weighed_rewards(own, r)
        + sums_before(weighed_rewards(lower, r))
        + sums_before(weighed_rewards(upper, r).flip(0)).flip(0)
    )
    return torch.zeros_like(w).scatter(0, order, w), weighed_rewards(own, rising).sum(0)


def weighed_rewards(weight: Tensor, reward: Tensor) -> Tensor:
    """Returns weight × reward, 0 where the weight is 0: a reward of −∞ that does not count is left out.

    >>> weighed_rewards(torch.tensor([0.0, 1.0]), torch.tensor([-torch.inf, 2.0]))
    tensor([0., 2.])
    """
    return weight * torch.where(weight == 0, 0, reward)


def sums_before(x: Float[Tensor, "N *batch"]) -> Float[Tensor, "N *batch"]:
    """Returns the sum of the entries before each.

    >>> sums_before(torch.tensor([1.0, 2.0, 4.0]))
    tensor([0., 1., 3.])
    """
    return torch.cat([torch.zeros_like(x[:1]), x[:-1].cumsum(0)])
