"""A table of a function of z, for a q with few values of z: its mean under q is a sum over all of them."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.tools.parameters import states, support

MOST_VALUES = 64
"""Up to this number of values of z, a function of z is a table."""


@dataclass(frozen=True)
class ValueTable:
    """All `values` of z, `[S, *event]`, and the `entries` of a function at them."""

    values: Float[Tensor, "S ..."]
    entries: Float[Tensor, " S"]

    def shown(self, z: Float[Tensor, "*leading D"]) -> Float[Tensor, "S *leading"]:
        """1 at the value that a draw with a flattened event has, else 0."""
        return (z == self.values.flatten(1).reshape(-1, *(1 for _ in z.shape[:-1]), z.shape[-1])).all(-1).to(z)

    def at(self, z: Float[Tensor, "*leading D"]) -> Float[Tensor, "*leading"]:
        """The entries at draws with flattened events."""
        return torch.tensordot(self.entries, self.shown(z), 1)

    def chances(self, q: Distribution) -> Float[Tensor, "S *leading"]:
        """The probability of each value under q, whose parameters may have leading axes; differentiable."""
        lead, event = len(q.batch_shape), self.values.shape[1:]
        return q.log_prob(self.values.reshape(-1, *[1] * lead, *event).expand(-1, *q.batch_shape, *event)).exp()

    def mean(self, q: Distribution) -> Float[Tensor, "*leading"]:
        """The mean of the entries under q; differentiable."""
        return torch.tensordot(self.entries, self.chances(q), 1)


def all_values(q: Distribution) -> Tensor | None:
    """Every value of a q without data axes, `[S, *event]`, if there are at most `MOST_VALUES`; else None."""
    count = None if q.batch_shape else states(q)
    return support(q) if count is not None and count <= MOST_VALUES else None
