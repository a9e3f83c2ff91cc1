"""Objectives of the sorted rewards of K draws, and their mean over all sets of K among N draws.

f = Σ_i c_i r_(i), with r_(1) ≤ … ≤ r_(K) the sorted rewards: the largest (max@K; pass@K where rewards are 0 and 1),
the mean of the smallest share (conditional value at risk), a median. Of N ≥ K draws there are C(N, K) sets S, and
1/C(N, K) Σ_S f(S) Σ_{k∈S} s_k = Σ_k w_k s_k is an unbiased estimate of ∇ E f that uses each draw in many sets
(a U-statistic: Hoeffding 1948, Ann. Math. Stat. 19, 293–325). All w follow from one sort: the j-th smallest of N is the
i-th smallest of C(j−1, i−1) C(N−j, K−i) sets.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import comb, isfinite
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import SetObjective, asked
from estimators.errors import BadInput, nearest

SetBaseline = Literal["none", "smaller", "others"]
BASELINES: tuple[SetBaseline, ...] = ("none", "smaller", "others")


class OrderStatistics(SetObjective):
    """Σ_i c_i r_(i) of K draws at once, r_(1) ≤ … ≤ r_(K) the sorted rewards r(z_k) and c = `weights`.

    Args:
        reward: z ↦ r(z), one number per draw.
        weights: c, K ≥ 2 numbers, from the smallest reward's to the largest's.
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
        self, reward: Callable[[Tensor], Tensor], weights: Sequence[float], *, differentiable: bool = False
    ) -> None:
        self.reward = reward
        self.weights = checked_weights(weights)
        self.draws = len(self.weights)
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
        rising = self.rewards(z, q).sort(1).values
        return (rising.movedim(1, -1) * rising.new_tensor(self.weights)).sum(-1)


def checked_weights(weights: Sequence[float]) -> tuple[float, ...]:
    """Returns the weights as numbers. Raises `BadInput` if there are fewer than 2, or if one is not finite."""
    given = tuple(float(each) for each in weights)
    if len(given) < 2 or not all(map(isfinite, given)):
        raise BadInput(f"an objective of sets has at least 2 weights, all finite; found {list(given)}")
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


def smaller_weights(weights: tuple[float, ...]) -> tuple[float, ...]:
    """Returns the weights of the same objective for K − 1 draws: the same weight for the same quantiles.

    >>> smaller_weights((0.0, 0.0, 1.0)), smaller_weights((0.25, 0.25, 0.25, 0.25))[0] == 1 / 3
    ((0.0, 1.0), True)
    """
    K = len(weights)
    until = np.interp(np.arange(K) / (K - 1), np.arange(K + 1) / K, np.cumsum([0.0, *weights]))
    return tuple(np.diff(until).tolist())


Ranked = tuple[list[float], list[float], list[float]]


def rank_coefficients(weights: tuple[float, ...], total: int, baseline: SetBaseline) -> Ranked:
    """Returns own, lower, upper with w_ρ = own_ρ r_ρ + Σ_{j<ρ} lower_j r_j + Σ_{j>ρ} upper_j r_j.

    ρ and j are ranks from 1 to N = `total`. For a given j, all draws above it have one coefficient, as have all below.
    Σ_ρ own_ρ r_ρ is the mean of f over all sets.
    """
    return _counted(weights, total, baseline)


rank_coefficients._dynamo_marked_constant = True  # pyright: ignore  (torch.compiler.assume_constant_result imports slowly)


@lru_cache(maxsize=256)
def _counted(weights: tuple[float, ...], total: int, baseline: SetBaseline) -> Ranked:
    K, N, ranks = len(weights), total, range(1, total + 1)
    own = [share_of_sets(weights, j - 1, N - j, comb(N, K)) for j in ranks]
    lower = [share_of_sets(weights[:-1], j - 1, N - j - 1, comb(N, K)) for j in ranks]  # the set has a draw above j
    upper = [share_of_sets(weights[1:], j - 2, N - j, comb(N, K)) for j in ranks]  # the set has a draw below j
    if baseline == "none":
        return own, lower, upper
    c = smaller_weights(weights) if baseline == "smaller" else weights
    scale = 1.0 if baseline == "smaller" else K / (N - K)  # (K/N) C(N, K)/C(N − 1, K)
    others = [scale * share_of_sets(c, j - 1, N - 1 - j, comb(N, K)) for j in ranks[:-1]]
    lower = [each - less for each, less in zip(lower, [*others, 0.0], strict=True)]
    upper = [each - less for each, less in zip(upper, [0.0, *others], strict=True)]
    return own, lower, upper


def share_of_sets(c: Sequence[float], below: int, above: int, sets: int) -> float:
    """Returns Σ_i c_i C(below, i) C(above, K − 1 − i)/sets, i from 0 to K − 1, for K numbers c; 0 if a count is < 0.

    >>> share_of_sets((0.0, 1.0), below=2, above=0, sets=3)  # the largest of 3 draws is the larger of 2 of the 3 pairs
    0.6666666666666666
    """
    if min(below, above) < 0:
        return 0.0
    chosen = ((each, comb(below, i) * comb(above, len(c) - 1 - i)) for i, each in enumerate(c) if each)
    return sum((each * (count / sets) for each, count in chosen), 0.0)


def subset_coefficients(
    rewards: Float[Tensor, "N *batch"], weights: Sequence[float], baseline: SetBaseline = "smaller"
) -> tuple[Float[Tensor, "N *batch"], Float[Tensor, "*batch"]]:
    """Returns w with Σ_k w_k s_k an unbiased estimate of ∇ E Σ_i c_i r_(i), and the mean of f over all sets of K draws.

    s_k = ∇θ log q(z_k); there is no further 1/N. The sets' value is differentiable in the rewards, w is not.

    Args:
        rewards: r(z_k) of N ≥ K independent draws.
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
    c, N = checked_weights(weights), len(rewards)
    if baseline not in BASELINES:
        raise BadInput(f"baseline: there is no {baseline!r}; {nearest(str(baseline), BASELINES)}")
    fewest = len(c) + (baseline == "others")
    if fewest > N:
        raise BadInput(f"{N} rewards are too few for sets of {len(c)} with baseline {baseline!r}; at least {fewest}")
    rising, order = rewards.sort(0)
    found = [rising.new_tensor(each) for each in rank_coefficients(c, N, baseline)]
    own, lower, upper = (each.reshape(-1, *(1 for _ in rising.shape[1:])) for each in found)
    r = rising.detach()
    if baseline != "none":
        r = r - r[0]  # a constant changes nothing; without this, large rewards would cancel
    below, above = lower * r, upper * r
    w = own * r + (below.cumsum(0) - below) + (above.flip(0).cumsum(0).flip(0) - above)
    return torch.zeros_like(w).scatter(0, order, w), (own * rising).sum(0)
