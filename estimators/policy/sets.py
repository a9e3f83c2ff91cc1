"""Weights of single draws for objectives of sets: pass@k and max@k from n draws, plain and with leave-one-out.

ĝ = Σ_i w_i s_i, without another 1/n, estimates ∇ E max_{i≤k} R_i, which is pass@k for rewards 0 and 1. All three forms
are unbiased. Where success is rare, the baseline of the other k − 1 has the least variance; where it is frequent, that
of all other sets. At k = 1 the latter is leave-one-out, which adds noise where success is rare.

All of this on-policy: a ratio for the own rollout does not correct the law of the others, by which it is compared.

Source: Walder, Karkhanis 2025 (pass@k policy optimisation), arXiv:2505.15201; Chen et al. 2021 (pass@k
itself), arXiv:2107.03374, equation 1.
"""

from collections.abc import Callable, Sequence
from math import comb

import torch
from jaxtyping import Float
from torch import Tensor

from estimators.errors import BadInput

GroupNumbers = Float[Tensor, "*batch K"]
"""A number for each rollout of a group."""


def best_of(rewards: GroupNumbers, k: int) -> GroupNumbers:
    """Returns w_(i) = [C(i−1, k−1) R_(i) + Σ_{j>i} C(j−2, k−2) R_(j)] / C(n, k), rewards sorted upwards.

    A set's maximum credits all of its members. With 0/1 rewards, c of them 1: right k/n, wrong
    (k/n) [1 − C(n−1−c, k−1)/C(n−1, k−1)].
    """
    n = _draws(rewards, k)
    own = [comb(i - 1, k - 1) for i in _ranks(n)]
    above = [comb(j - 2, k - 2) if min(j, k) >= 2 else 0 for j in _ranks(n)]
    return _by_rank(rewards, own, [0] * n, above, comb(n, k))


def best_of_less_others(rewards: GroupNumbers, k: int) -> GroupNumbers:
    """Returns w_(i) = Σ_{j<i} C(j−1, k−2) (R_(i) − R_(j)) / C(n, k): the baseline is the maximum of the other k − 1.

    A draw counts where it decides. k = 1 has no others, and no baseline. With 0/1 rewards, c of them 1: right
    (k/n) C(n−c, k−1)/C(n−1, k−1), wrong 0.
    """
    n = _draws(rewards, k)
    if k == 1:
        return best_of(rewards, k)
    below = [comb(j - 1, k - 2) for j in _ranks(n)]
    own = [sum(below[: i - 1]) for i in _ranks(n)]
    return _by_rank(_from_least(rewards), own, [-each for each in below], [0] * n, comb(n, k))


def best_of_less_sets(rewards: GroupNumbers, k: int) -> GroupNumbers:
    """Returns the plain weights less k/n × the mean of max@k over the sets without the draw; n > k.

    With 0/1 rewards, c of them 1: right (k/n) C(n−c, k)/C(n−1, k), wrong (k/n) [C(n−1−c, k)/C(n−1, k) −
    C(n−1−c, k−1)/C(n−1, k−1)].
    """
    n = _draws(rewards, k + 1)
    own = [comb(i - 1, k - 1) for i in _ranks(n)]
    above = [comb(j - 2, k - 2) if min(j, k) >= 2 else 0 for j in _ranks(n)]
    share = comb(n, k) * k / (n * comb(n - 1, k))
    lower = [-share * comb(j - 1, k - 1) for j in _ranks(n)]  # R_(j) is the j-th of n − 1 without a draw above it
    upper = [a - share * (comb(j - 2, k - 1) if j >= 2 else 0) for a, j in zip(above, _ranks(n), strict=True)]
    return _by_rank(_from_least(rewards), own, lower, upper, comb(n, k))


SET_PARTS: dict[str, Callable[[GroupNumbers, int], GroupNumbers]] = {
    "plain": best_of,
    "leave_one_out": best_of_less_others,
    "leave_one_out_sets": best_of_less_sets,
}
"""Weights of draws by name, functions of the rewards and k."""


def _draws(rewards: GroupNumbers, least: int) -> int:
    n = rewards.shape[-1]
    if n < least:
        raise BadInput(f"an objective of sets needs at least {least} rollouts of each prompt here, found {n}")
    return n


def _ranks(n: int) -> range:
    return range(1, n + 1)


def _from_least(rewards: GroupNumbers) -> GroupNumbers:
    """Returns the rewards less the smallest: with a baseline a constant changes nothing, but large ones cancel."""
    return rewards - rewards.amin(-1, keepdim=True)


def _by_rank(
    rewards: GroupNumbers,
    own: Sequence[int | float],
    lower: Sequence[int | float],
    upper: Sequence[int | float],
    sets: int,
) -> GroupNumbers:
    """Returns w_(i) = [own_i R_(i) + Σ_{j<i} lower_j R_(j) + Σ_{j>i} upper_j R_(j)] / sets, R sorted upwards."""
    rising, order = rewards.detach().sort(-1)
    a, b, c = (rising.new_tensor([each / sets for each in part]) for part in (own, lower, upper))
    before, after = b * rising, c * rising
    w = a * rising + (before.cumsum(-1) - before) + (after.flip(-1).cumsum(-1).flip(-1) - after)
    return torch.zeros_like(w).scatter(-1, order, w)
