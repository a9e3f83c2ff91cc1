"""Random permutations (Plackett-Luce)."""

from dataclasses import dataclass
from itertools import permutations
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from bench.distributions.base import Family, distributions
from bench.numerics.tensors import Tensors
from estimators.traits import Need

MOST = 8
"""Largest number of items whose orders are enumerated: 8! = 40,320."""


class PlackettLuce(Distribution):
    """Orders of n items, drawn one after another without replacement with odds exp(logits) (Plackett 1975).

    z is a permutation matrix `[*batch, n, n]`: row i is the one-hot item at place i.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {"logits": constraints.real_vector}  # type: ignore[misc]
    support = constraints.independent(constraints.boolean, 2)  # type: ignore[assignment]
    offers = frozenset({Need.DENSITY, Need.MODE})
    offers_not = frozenset({Need.FACTORISED, Need.MEAN})

    def __init__(self, logits: Tensor, validate_args: bool | None = None) -> None:
        self.logits = logits
        super().__init__(logits.shape[:-1], torch.Size([logits.shape[-1]] * 2), validate_args=validate_args)

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        return self.logits.shape[-1] <= MOST

    @property
    def mode(self) -> Tensor:
        """The most probable order: items by decreasing logit."""
        return _matrix(self.logits.argsort(-1, descending=True), self.logits)

    @torch.no_grad()
    def sample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        """Samples by sorting the logits plus Gumbel noise (Yellott 1977)."""
        logits = self.logits.expand(*sample_shape, *self.logits.shape)
        noisy = logits - torch.empty_like(logits).exponential_().log()
        return _matrix(noisy.argsort(-1, descending=True), logits)

    def log_prob(self, value: Tensor) -> Tensor:
        """Returns Σ_i [l_i − log Σ_{j ≥ i} exp(l_j)], l the logits in the order of the places.

        Uses a mask, not `logcumsumexp`: the backward pass of that takes the logarithm of its incoming gradient. If this
        is 0 (f equals its baseline), the second derivative, which a learned baseline needs, would be NaN.
        """
        placed = (value * self.logits[..., None, :]).sum(-1)
        gone = torch.ones_like(value, dtype=torch.bool).tril(-1)  # at place i, the items of places j < i are gone
        left = placed[..., None, :].masked_fill(gone, -torch.inf).logsumexp(-1)
        return (placed - left).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        n = self.logits.shape[-1]
        orders = torch.tensor(list(permutations(range(n))), device=self.logits.device)
        table = _matrix(orders, self.logits).reshape(-1, *(1 for _ in self.batch_shape), n, n)
        return table.expand(-1, *self.batch_shape, -1, -1) if expand else table


def _matrix(order: Tensor, like: Tensor) -> Tensor:
    """Returns permutation matrices from the item index at each place."""
    return (order[..., None] == torch.arange(order.shape[-1], device=order.device)).to(like.dtype)


@distributions.register("plackett_luce")
@dataclass(frozen=True)
class PlackettLuceFamily(Family):
    """Orders of `size` items; θ is their logits (one is redundant). `extreme`: logits from −4 to 4.5."""

    used_by = "ranking, sequencing, travelling salesman (Bello 2017; Kool 2020; Gadetsky 2020)"
    discrete = True
    factorised = False
    reparameterised = False
    coordinates: ClassVar[tuple[str, ...]] = ("unconstrained",)
    points = ("default", "extreme")
    values = "permutation"

    def theta(self, point: str, coordinates: str) -> Tensors:
        low, high = {"default": (-0.7, 1.0), "extreme": (-4.0, 4.5)}[point]
        return {"logits": torch.linspace(low, high, self.size, dtype=torch.float64)}

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        return theta

    def build(self, parameters: Tensors) -> Distribution:
        return PlackettLuce(parameters["logits"], validate_args=False)
