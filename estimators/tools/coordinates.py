"""Replacing one coordinate at a time: D times as many evaluations, in chunks of bounded memory."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Objective

MAX_ELEMENTS = 2**24
"""Upper limit on the numbers in one call of f, 128 MiB in float64: coordinates are taken in chunks.

A chunk has at least one coordinate, so a single replaced copy of all draws may exceed the limit.
"""


def chunk(elements: int) -> int:
    """Returns how many copies of a tensor with `elements` numbers go into one call of f."""
    return max(1, MAX_ELEMENTS // max(1, elements))


def swept(
    f: Objective, q: Distribution, x: Float[Tensor, "n *batch"], v: Float[Tensor, "sides n *batch"]
) -> Iterator[Float[Tensor, "sides part ..."]]:
    """Yields f.held at draws x `[n, *batch, D]` with coordinate d taken from v, for every side and d, in chunks of d.

    Each chunk has shape `[sides, part, n, *batch]`; concatenated along the second axis they have D entries. x·(1 − I) +
    v·I is exact; a Boolean mask in place of I would keep compiled loops from vectorising.

    >>> from torch.distributions import Independent, Normal
    >>> from estimators import Function
    >>> q, f = Independent(Normal(torch.zeros(2), 1.0), 1), Function(lambda z: z @ torch.tensor([1.0, 10.0]))
    >>> torch.cat(list(swept(f, q, torch.zeros(1, 2), torch.ones(1, 1, 2))), 1)
    tensor([[[ 1.],
             [10.]]])
    """
    D = x.shape[-1]
    d = torch.arange(D, dtype=torch.int32, device=x.device)  # compiled, torch.eye compares bytes: 10 times slower
    one = (d.unsqueeze(-1) == d).to(x.dtype).reshape(D, *(1 for _ in x.shape[:-1]), D)
    for rows in one.split(chunk(v.numel())):
        points = x * (1 - rows) + v.unsqueeze(1) * rows
        yield f.held(points.reshape(*points.shape[:-1], *q.event_shape), q)
