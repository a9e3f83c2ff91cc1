"""Objectives on minibatches: a subset of the data per replicate, shared by all draws of the replicate.

Within a training step f is then one fixed function, so every estimator that is right for f is right here. The mean over
subsets is f, hence the exact gradient is that of all data.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch

import torch
from jaxtyping import Int
from torch import Tensor

from bench.distributions.base import Family
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target
from estimators.core import Objective

Index = Int[Tensor, "R m"]


@dataclass(frozen=True)
class Minibatches:
    """An objective on subsets of its data.

    Attributes:
        data: number of data, N.
        at: f on the data of an index `[R, m]`: its batch axes are `[R]`, or `[R, m]` if q has an axis of data. Its mean
            over subsets is f on all data.
        of_parameters: q has parameters for each datum (an amortised posterior), which are chosen by the index too.
        size: number of data in a subset, m.
    """

    data: int
    at: Callable[[Index], Objective]
    of_parameters: bool = False
    size: int = 1

    def draw(self, parameters: Tensors, shared: tuple[str, ...]) -> tuple[Tensors, Objective]:
        """Returns q's parameters and f on a fresh subset for each replicate, from torch's generator.

        Args:
            parameters: q's parameters on all data, `[R, …]`.
            shared: names of parameters without an axis of data (a decoder's weights), which are returned unchanged.
        """
        like = next(iter(parameters.values()))
        index = subsets(len(like), self.data, self.size, like.device)
        if not self.of_parameters:
            return parameters, self.at(index)
        own = {name: value if name in shared else chosen(value, index) for name, value in parameters.items()}
        return own, self.at(index)

    @property
    def share_of_draws(self) -> float:
        """The share of the data for which an estimate has draws of their own, where each datum has its own draws."""
        return self.size / self.data if self.of_parameters else 1.0


@singledispatch
def minibatches(target: Target, family: Family, point: str, like: Tensor) -> Minibatches | None:
    """Returns an objective on subsets of its data, with its constants on `like`'s device and dtype.

    None for an objective that is not a sum over data. Each objective on data registers its own function here.
    """
    return None


def subsets(replicates: int, data: int, size: int, device: torch.device) -> Index:
    """Returns `size` different data for each replicate, every subset equally likely: `[R, m]`.

    >>> subsets(5, data=3, size=2, device=torch.device("cpu")).shape
    torch.Size([5, 2])
    """
    return torch.rand((replicates, data), device=device).topk(size, -1).indices


def chosen(values: Tensor, index: Index) -> Tensor:
    """Returns each replicate's own data, `[R, N, …]` → `[R, m, …]`.

    >>> chosen(torch.tensor([[10.0, 11.0, 12.0]]), torch.tensor([[2, 0]]))
    tensor([[12., 10.]])
    """
    index = index.reshape(*index.shape, *(1 for _ in values.shape[2:]))
    return values.take_along_dim(index.expand(*index.shape[:2], *values.shape[2:]), 1)
