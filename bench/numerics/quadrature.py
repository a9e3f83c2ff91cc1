"""Composite Gauss–Legendre rules, and expectations under one-dimensional Normals."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

REACH = 9.5
"""Standard deviations covered on either side: 2e-21 of a Normal's mass lies outside."""


@lru_cache(maxsize=64)
def legendre(low: float, high: float, panels: int, order: int = 20) -> tuple[Tensor, Tensor]:
    """Returns float64 nodes and weights of ∫_low^high: `order` Gauss–Legendre nodes on each of `panels` equal panels.

    >>> x, w = legendre(0.0, 1.0, panels=3)
    >>> round(float(w @ x.exp()), 12)
    1.718281828459
    """
    node, weight = np.polynomial.legendre.leggauss(order)
    edges = np.linspace(low, high, panels + 1)
    half = (edges[1:] - edges[:-1])[:, None] / 2
    x = (edges[:-1, None] + half * (node + 1)).reshape(-1)
    return torch.tensor(x), torch.tensor((half * weight).reshape(-1))


def normal_expectation(
    h: Callable[[Tensor], Tensor],
    loc: Float[Tensor, "*batch"],
    scale: Float[Tensor, "*batch"],
    panels: int = 128,
    reach: float = REACH,
) -> Float[Tensor, "*batch"]:
    """Returns E h(s), s ~ N(loc, scale²), differentiable in loc and scale; h is elementwise and smooth.

    `reach`: standard deviations covered on either side; comparing two values shows the truncation error.

    Composite Gauss–Legendre over ε = (s − loc) / scale: a Gauss–Hermite rule of any affordable order
    misses functions that bend within a small part of the Normal's width, as log σ does at a large scale.

    >>> second_moment = normal_expectation(torch.square, torch.tensor(1.0).double(), torch.tensor(2.0).double())
    >>> round(float(second_moment), 12)
    5.0
    """
    noise, weight = legendre(-reach, reach, panels)
    weight = weight * torch.exp(-noise.square() / 2) / (2 * torch.pi) ** 0.5
    return h(loc[..., None] + scale[..., None] * noise) @ weight
