"""Weights of single draws for objectives of sets: pass@k and max@k from n draws, plain and with leave-one-out.

ĝ = Σ_i w_i s_i, without another 1/n, estimates ∇ E max_{i≤k} R_i, which is pass@k for rewards 0 and 1. All three forms
are unbiased. Where success is rare, the baseline of the other k − 1 has the least variance; where it is frequent, that
of all other sets. At k = 1 the latter is leave-one-out, which adds noise where success is rare.

All of this on-policy: a ratio for the own rollout does not correct the law of the others, by which it is compared.

Source: Walder, Karkhanis 2025 (pass@k policy optimisation), arXiv:2505.15201; Chen et al. 2021 (pass@k
itself), arXiv:2107.03374, equation 1.
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from estimators.errors import BadInput
from estimators.order_statistics import SetBaseline, maximum_weights, subset_coefficients

GroupNumbers = Float[Tensor, "*batch K"]
"""A number for each rollout of a group."""


def best_of(rewards: GroupNumbers, k: int) -> GroupNumbers:
    """Returns w_(i) = [C(i−1, k−1) R_(i) + Σ_{j>i} C(j−2, k−2) R_(j)] / C(n, k), rewards sorted upwards.

    A set's maximum credits all of its members. With 0/1 rewards, c of them 1: right k/n, wrong
    (k/n) [1 − C(n−1−c, k−1)/C(n−1, k−1)].
    """
    return _weights(rewards, k, k, "none")


def best_of_less_others(rewards: GroupNumbers, k: int) -> GroupNumbers:
    """Returns w_(i) = Σ_{j<i} C(j−1, k−2) (R_(i) − R_(j)) / C(n, k): the baseline is the maximum of the other k − 1.

    A draw counts where it decides. k = 1 has no others, and no baseline. With 0/1 rewards, c of them 1: right
    (k/n) C(n−c, k−1)/C(n−1, k−1), wrong 0.
    """
    return _weights(rewards, k, k, "smaller" if k > 1 else "none")


def best_of_less_sets(rewards: GroupNumbers, k: int) -> GroupNumbers:
    """Returns the plain weights less k/n × the mean of max@k over the sets without the draw; n > k.

    With 0/1 rewards, c of them 1: right (k/n) C(n−c, k)/C(n−1, k), wrong (k/n) [C(n−1−c, k)/C(n−1, k) −
    C(n−1−c, k−1)/C(n−1, k−1)].
    """
    return _weights(rewards, k, k + 1, "others")


SET_PARTS: dict[str, Callable[[GroupNumbers, int], GroupNumbers]] = {
    "plain": best_of,
    "leave_one_out": best_of_less_others,
    "leave_one_out_sets": best_of_less_sets,
}
"""Weights of draws by name, functions of the rewards and k."""


def _weights(rewards: GroupNumbers, k: int, least: int, baseline: SetBaseline) -> GroupNumbers:
    """Returns the weights of the draws of each group for the maximum of k, from `least` draws on."""
    n = rewards.shape[-1]
    if n < least:
        raise BadInput(f"an objective of sets needs at least {least} rollouts of each prompt here, found {n}")
    return subset_coefficients(rewards.detach().movedim(-1, 0), maximum_weights(k), baseline)[0].movedim(0, -1)
