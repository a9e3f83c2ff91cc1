"""Exact one-dimensional laws, from SciPy or closed forms: independent of the torch classes that are measured.

A law is a rule: points `[S]` and weights `[S]` with Σ w h(x) = E h(x) for a bounded smooth h, both float64.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from bench.numerics.quadrature import legendre

Array = np.ndarray[Any, np.dtype[np.float64]]
Knobs = dict[str, float]
"""A distribution's parameters by torch's names."""

LAW_PANELS = 160
"""Panels of 20 nodes."""


@dataclass(frozen=True)
class Law:
    """Points and weights, and the mean in closed form (infinite or NaN where there is none)."""

    points: Array
    weights: Array
    mean: float
    discrete: bool = False

    def expect(self, h: Callable[[Array], Array]) -> float:
        """E h(x).

        >>> round(counts(np.array([0.25, 0.75])).expect(np.exp), 4)
        2.2887
        """
        return float(self.weights @ h(self.points))

    def quantile(self, chance: float) -> float:
        """The smallest point with at least this chance below or at it."""
        order = np.argsort(self.points)
        below = np.cumsum(self.weights[order])
        return float(self.points[order][min(np.searchsorted(below, chance), len(order) - 1)])


@cache
def _nodes(low: float, high: float, panels: int = LAW_PANELS) -> tuple[Array, Array]:
    node, weight = legendre(low, high, panels)
    return node.numpy(), weight.numpy()


def quantiles(frozen: Any, panels: int = LAW_PANELS) -> Law:
    """The law of a frozen continuous SciPy distribution: x = F⁻¹(σ(t)), from either end so that tails are exact."""
    t, weight = _nodes(-36.0, 36.0, panels)
    with np.errstate(all="ignore"):
        tail = 1 / (1 + np.exp(np.abs(t)))
        points = np.where(t < 0, frozen.ppf(tail), frozen.isf(tail))
        mean = float(frozen.mean())
    return Law(np.nan_to_num(points, nan=0.0), weight * tail * (1 - tail), mean)


def mapped(frozen: Any, forward: Callable[[Array], Array], mean: float = float("nan"), panels: int = LAW_PANELS) -> Law:
    """The law of forward(x); `mean` is by the rule itself unless it is given."""
    inner = quantiles(frozen, panels)
    points = forward(inner.points)
    return Law(points, inner.weights, float(inner.weights @ points) if np.isnan(mean) else mean)


def density(pdf: Callable[[Array], Array], low: float, high: float) -> Law:
    """The law with a density on an interval that does not move with the parameters."""
    points, weight = _nodes(low, high)
    weights = weight * pdf(points)
    return Law(points, weights, float(weights @ points))


def counts(pmf: Array) -> Law:
    """The law on 0, 1, 2, … with these probabilities."""
    points = np.arange(len(pmf), dtype=np.float64)
    return Law(points, pmf, float(pmf @ points), discrete=True)
