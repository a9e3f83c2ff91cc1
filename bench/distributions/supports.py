"""Weighted supports of one coordinate: points and weights that turn an expectation into a sum.

A continuous coordinate is z = g(u) for a coordinate u in which its mass lies in a known interval; a composite
Gauss–Legendre rule over u, with an edge on every break, has the points g(u) and the weights w·g′(u).
Points and weights are constants: the expectation is differentiated through the density alone.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from bench.quadrature import legendre

PANELS = 60
"""Panels of 20 nodes at level 0, shared by the stretches between breaks."""

Map = Callable[[Tensor], Tensor]


def panelled(
    forward: Map, low: Tensor, high: Tensor, breaks: list[Tensor], level: int, *, panels: int = PANELS
) -> tuple[Tensor, Tensor]:
    """Points g(u) and weights w·g′(u), `[S, *batch]`, of a rule over u in [low, high], both `[*batch]`.

    `breaks`, in u, become edges; those outside are moved to the ends, where their stretch has no length.

    >>> zero = torch.zeros((), dtype=torch.float64)
    >>> z, w = panelled(torch.exp, zero, zero + 1, [zero + 0.3], 0)
    >>> round(float(w.sum()), 12)  # ∫ dz from 1 to e
    1.718281828459
    """
    low, high = (end.detach() for end in torch.broadcast_tensors(low, high))
    inner = [torch.clamp(torch.nan_to_num(at.detach()).expand_as(low), low, high) for at in breaks]
    edges = torch.stack([low, *inner, high]).sort(0).values
    unit, weight = legendre(0.0, 1.0, round(max(8, panels // (len(edges) - 1)) * 2.0**level))
    shape = (-1, *(1 for _ in low.shape))
    width = edges.diff(dim=0)[:, None]
    u = (edges[:-1, None] + width * unit.reshape(shape)).flatten(0, 1)
    z, pullback, *_ = torch.func.vjp(forward, u)
    return z.detach(), (pullback(torch.ones_like(u))[0] * (width * weight.reshape(shape)).flatten(0, 1)).detach()


def location_scale(
    loc: Tensor, scale: Tensor, breaks: tuple[float, ...], level: int, reach: float = 12.0
) -> tuple[Tensor, Tensor]:
    """z = loc + scale·u, |u| ≤ reach: a Normal has 4e-33 of its mass outside 12."""
    loc, scale = loc.detach(), scale.detach()
    at = [(point - loc) / scale for point in breaks]
    end = torch.full_like(loc, reach)
    return panelled(lambda u: loc + scale * u, -end, end, at, level)


def positive(
    low: Tensor, high: Tensor, breaks: tuple[float, ...], level: int, *, bulk: float = 6.0, panels: int = 2 * PANELS
) -> tuple[Tensor, Tensor]:
    """z = exp(u): for a density on (0, ∞) with a pole or a thin tail at 0. `low` and `high` are values of u.

    The last `bulk` of u has as many panels as all the rest: there f may oscillate.
    """
    at = [high - bulk, *(torch.full_like(low, point).log() for point in breaks if point > 0)]
    return panelled(torch.exp, low, high, at, level, panels=panels)


def unit_interval(
    low: Tensor, high: Tensor, breaks: tuple[float, ...], level: int, *, panels: int = 2 * PANELS
) -> tuple[Tensor, Tensor]:
    """z = σ(u): for a density on (0, 1) with poles at the ends. `low` and `high` are values of u."""
    at = [torch.full_like(low, point).logit() for point in breaks if 0 < point < 1]
    return panelled(torch.sigmoid, low, high, at, level, panels=panels)


def counted(last: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """0, 1, …, last with weight 1, for every coordinate of `like`."""
    z = torch.arange(int(last) + 1, dtype=torch.float64).reshape(-1, *(1 for _ in like.shape))
    z = z.expand(len(z), *like.shape)
    return z, torch.ones_like(z)
