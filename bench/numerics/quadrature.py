"""Composite Gauss–Legendre rules, and expectations under one-dimensional Normals."""

from collections.abc import Callable
from decimal import Decimal, localcontext
from functools import cache, lru_cache

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
    node, weight = gauss_legendre(order)
    edges = np.linspace(low, high, panels + 1)
    half = (edges[1:] - edges[:-1])[:, None] / 2
    x = (edges[:-1, None] + half * (node + 1)).reshape(-1)
    return torch.tensor(x), torch.tensor((half * weight).reshape(-1))


@cache
def gauss_legendre(order: int) -> tuple[Float[np.ndarray, " order"], Float[np.ndarray, " order"]]:
    """Returns the Gauss–Legendre nodes and weights on [−1, 1], rounded correctly to float64.

    The weight at a node x, 2 / ((1 − x²) P′(x)²), reacts to x: with x rounded to float64, numpy and scipy give outer
    weights with relative errors of 3e-14 to 7e-14 at order 20. Every level of a rule shares them, so no comparison of
    two levels shows that error. Here one Newton step and the weight are computed with 40 digits
    (Abramowitz, Stegun 1964, 25.4.29).

    >>> gauss_legendre(2)[1].tolist()
    [1.0, 1.0]
    """
    with localcontext(prec=40):
        found = [_refined(order, Decimal(float(x))) for x in np.polynomial.legendre.leggauss(order)[0]]
    node, weight = np.array(found, dtype=np.float64).T
    return node, weight


def _refined(order: int, x: Decimal) -> tuple[float, float]:
    """Returns the node near x, after one Newton step, and its weight."""
    value, slope = _polynomial(order, x)
    node = x - value / slope
    _, slope = _polynomial(order, node)
    return float(node), float(2 / ((1 - node * node) * slope * slope))


def _polynomial(order: int, x: Decimal) -> tuple[Decimal, Decimal]:
    """Returns P(x) and P′(x) of the Legendre polynomial of this order, by the three-term recurrence."""
    before, value = Decimal(1), x
    for k in range(1, order):
        before, value = value, ((2 * k + 1) * x * value - k * before) / (k + 1)
    return value, order * (x * value - before) / (x * x - 1)


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
