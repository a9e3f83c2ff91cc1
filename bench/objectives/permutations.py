"""Costs of permutations."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bench.distributions.base import Family
from bench.objectives.base import Target, objectives
from estimators.core import Function, Objective


@dataclass(frozen=True)
class OfOrders(Target):
    """A cost of permutation matrices `[…, n, n]`; its expectation is exact by enumeration up to 8 items."""

    def fits(self, family: Family) -> str | None:
        return None if family.values == "permutation" else "is a cost of orders"


@objectives.register("tour")
@dataclass(frozen=True)
class Tour(OfOrders):
    """Length of the closed tour through cities in the unit square (travelling salesman problem)."""

    used_by = "neural combinatorial optimisation (Bello 2017; Kool 2019)"

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        distance = distances(family.size).to(like)
        return Function(lambda z: ((z @ distance) * z.roll(-1, -2)).sum((-1, -2)))


def distances(cities: int) -> Float[Tensor, "n n"]:
    """Returns the distances between random cities, the same on every machine."""
    place = torch.tensor(np.random.default_rng(7).uniform(size=(cities, 2)))
    return (place[:, None] - place).square().sum(-1).sqrt()


@objectives.register("ranking_loss")
@dataclass(frozen=True)
class RankingLoss(OfOrders):
    """1 − DCG@`top` / best DCG@`top`; item i has relevance i: gains 2^i − 1, discounts 1 / log₂(place + 1)."""

    used_by = "learning to rank (Grover 2019; Oosterhuis 2021)"

    top: int = 3

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        n = family.size
        gain = (2.0 ** torch.arange(n)).to(like) - 1
        place = torch.arange(1, n + 1).to(like)
        discount = torch.where(place <= self.top, 1 / (place + 1).log2(), 0.0)
        best = (gain.flip(0) * discount).sum()
        return Function(lambda z: 1 - (discount[:, None] * z * gain).sum((-1, -2)) / best)
