"""Rewards of several draws at once: the largest, and the mean of the smallest; exact from the law of one reward."""

from abc import abstractmethod
from dataclasses import dataclass
from math import comb

import torch
from jaxtyping import Float
from torch import Tensor

from bench.distributions.base import Family
from bench.numerics.quadrature import legendre
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target, objectives
from bench.objectives.coupled import sum_moments
from estimators.core import Objective
from estimators.errors import BadInput
from estimators.order_statistics import OrderStatistics, maximum_weights, tail_weights
from estimators.tools.parameters import states, support

MAX_REWARDED_STATES = 2**20
REWARD_PANELS = 64
"""Panels of 20 nodes each in the integral over a Normal's reward."""


@dataclass(frozen=True)
class SortedRewards(Target):
    """Σ_i c_i r_(i), r_(1) ≤ … ≤ r_(K) the sorted rewards of K = `draws` draws. Subclasses define c.

    The reward of a draw is −(S − `target`)², S = Σ_d w_d v_d; v_d is a coordinate, or the category index of a one-hot
    row; w_d falls evenly from 1 to ½.
    """

    twice_differentiable = False
    relaxable = False
    draws: int = 3
    target: float = 1.3

    def __post_init__(self) -> None:
        if self.draws < 2:
            raise BadInput(f"{self.name} takes at least 2 draws at once, found {self.draws}")

    @abstractmethod
    def ranks(self) -> tuple[float, ...]:
        """Returns c, from the smallest reward's weight to the largest's."""

    def fits(self, family: Family) -> str | None:
        known = family.values in ("bits", "one_hot") or family.name in ("normal", "multivariate_normal")
        return None if known else "is for bits, one-hot rows and Normals"

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        weight = torch.linspace(1.0, 0.5, family.size).to(like)
        number = torch.arange(getattr(family, "categories", 1)).to(like)

        def reward(z: Tensor) -> Tensor:
            v = (z * number).sum(-1) if family.values == "one_hot" else z
            return -((weight * v).sum(-1) - self.target).square()

        ranks = torch.tensor(self.ranks(), dtype=torch.float64, device=like.device)
        return OrderStatistics(reward, ranks, differentiable=family.values == "real")

    def expectation(
        self, family: Family, point: str, parameters: Tensors, level: int = 0
    ) -> Float[Tensor, "*leading"] | None:
        if family.values == "real":
            weight = torch.linspace(1.0, 0.5, family.size, dtype=torch.float64)
            moments = sum_moments(family, parameters, weight, level)
            return moments and normal_square(self.ranks(), moments[0] - self.target, moments[1].sqrt(), level)
        q = family.build(parameters)
        count = states(q)
        if count is None or count > MAX_REWARDED_STATES:
            return None
        z = support(q)
        f = self.build(family, point, z)
        assert isinstance(f, OrderStatistics)
        return of_finite_law(self.ranks(), f.rewards(z, q), q.log_prob(z).exp())


def until_rank(c: tuple[float, ...], below: Tensor, above: Tensor) -> Tensor:
    """Returns H = Σ_i c_i P(at least i of K draws lie below), from the probabilities of lying below and above.

    Σ_i c_i r_(i) has the expectation ∫ r dH(F(r)), F the distribution function of one reward (David, Nagaraja 2003,
    Order Statistics, section 2.1).
    """
    K = len(c)
    return sum(  # type: ignore[return-value]
        (sum(c[:m]) * comb(K, m) * below**m * above ** (K - m) for m in range(1, K + 1)), torch.zeros_like(below)
    )


def of_finite_law(
    c: tuple[float, ...], reward: Float[Tensor, "S *leading"], mass: Float[Tensor, "S *leading"]
) -> Float[Tensor, "*leading"]:
    """Returns E Σ_i c_i r_(i) of K draws of a law with S values; differentiable in the masses.

    Σ_j r_j (H_j − H_{j−1}) over the sorted values is summed by parts: no difference of two close probabilities.
    """
    r, order = reward.sort(0)
    p = mass.gather(0, order)
    below, above = p.cumsum(0)[:-1], p.flip(0).cumsum(0).flip(0)[1:]
    return r[-1] * sum(c) - (r.diff(dim=0) * until_rank(c, below, above)).sum(0)


def normal_square(c: tuple[float, ...], loc: Tensor, scale: Tensor, level: int) -> Tensor:
    """Returns E Σ_i c_i r_(i) for r = −x², x ~ N(loc, scale²): −∫_0^∞ 2d H(P(|x| ≥ d)) dd.

    Below |loc| − 10 scale, P is 1 to rounding and the integral is known; the rule is composite Gauss–Legendre from
    there to |loc| + 10 scale (11 at level 1).
    """
    reach, middle = (10.0 + level) * scale.detach(), loc.detach().abs()
    low = (middle - reach).clamp_min(0)
    u, weight = legendre(0.0, 1.0, REWARD_PANELS * 2**level)
    length = middle + reach - low
    d = low[..., None] + length[..., None] * u
    m, s = loc[..., None], scale[..., None]
    outside = torch.special.ndtr((-d - m) / s) + torch.special.ndtr((m - d) / s)
    inside = torch.special.ndtr((d - m) / s) - torch.special.ndtr((-d - m) / s)
    return -low.square() * sum(c) - length * ((2 * d * until_rank(c, outside, inside)) @ weight)


@objectives.register("max_of_draws")
@dataclass(frozen=True)
class MaxOfDraws(SortedRewards):
    """max_k r(z_k) of K = `draws` draws: max@K, the objective behind best-of-K sampling and pass@K.

    r = −(Σ_d w_d v_d − `target`)²; w_d falls evenly from 1 to ½; v_d is a coordinate, or the category index of a
    one-hot row.
    """

    used_by = "best-of-K sampling, pass@K and max@K policy optimisation (Walder, Karkhanis 2025)"

    def ranks(self) -> tuple[float, ...]:
        return maximum_weights(self.draws)


@objectives.register("tail_of_draws")
@dataclass(frozen=True)
class TailOfDraws(SortedRewards):
    """The mean of the smallest `share` of K = `draws` rewards: the conditional value at risk of a set of draws.

    r = −(Σ_d w_d v_d − `target`)²; w_d falls evenly from 1 to ½; v_d is a coordinate, or the category index of a
    one-hot row.
    """

    used_by = "risk-averse policies and portfolios (Rockafellar, Uryasev 2000; Tamar, Glassner, Mannor 2015)"

    share: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        tail_weights(self.draws, self.share)

    def ranks(self) -> tuple[float, ...]:
        return tail_weights(self.draws, self.share)
