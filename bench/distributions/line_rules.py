"""Weighted supports of one coordinate: points and weights that turn an expectation into a sum.

A continuous coordinate is written z = g(u), where nearly all mass lies in a known interval of u. A composite
Gauss–Legendre rule over u, with an edge at every break, gives points g(u) and weights w·g′(u).
Points and weights are constants: the expectation is differentiated through the density alone.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from bench.numerics.constants import EPS, TINY
from bench.numerics.quadrature import legendre

RULE_PANELS = 60
"""Number of panels of 20 nodes at level 0, divided among the stretches between breaks."""

TAIL_PANELS = 6
"""Number of panels of 20 nodes in each tail at level 0: the last is 2⁶ times as wide as the first."""

UNDERFLOW = 760.0
"""exp(−760) is 0 in float64."""

LOG_MOST = 707.0
"""exp(±707) are normal float64 numbers."""

LOGIT_MOST = 36.5
"""σ(36.5) is the float64 below the last one below 1."""

END_UNITS = 4.0
"""Units in the last place by which the length of a stretch is changed at level 0: more than its two ends round to."""

Map = Callable[[Tensor], Tensor]

Rule = tuple[Tensor, Tensor, Tensor]
"""Nodes t on [0, 1], 1 − t, and weights, each `[M]`."""


def panelled(
    forward: Map,
    low: Tensor,
    high: Tensor,
    breaks: list[Tensor],
    level: int,
    *,
    panels: int = RULE_PANELS,
    limits: tuple[Tensor, Tensor] | None = None,
    edges: list[Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Returns points g(u) and weights w·g′(u), `[S, *batch]`, of a rule over u in [low, high], both `[*batch]`.

    Args:
        forward: The map g, elementwise.
        low: Lower end of the interval of u that holds the bulk of the mass.
        high: Upper end of that interval.
        breaks: Values of u that become edges. Those outside are moved to the ends, where their stretch has length 0.
        level: Each level doubles the nodes.
        panels: Number of panels between `low` and `high` at level 0.
        limits: Values of u beyond which the density is below the smallest float64, or z is not a float64 number. The
            tails up to there have growing panels, farther at a higher level, with an edge at every break, so that f
            far out counts and its error shows.
        edges: Further edges between `low` and `high`, where the rule must be finer.

    >>> zero = torch.zeros((), dtype=torch.float64)
    >>> z, w = panelled(torch.exp, zero, zero + 1, [zero + 0.3], 0)
    >>> round(float(w.sum()), 12)  # ∫ dz from 1 to e
    1.718281828459
    """
    low, high = (end.detach() for end in torch.broadcast_tensors(low, high))
    at = [torch.nan_to_num(each.detach()).expand_as(low) for each in breaks]
    inner = at + [each.detach().expand_as(low) for each in edges or []]
    share = max(8, panels // (len(inner) + 1))
    parts = [stretches(low, high, inner, even(round(share * 2.0**level)))]
    parts += [tail(start, limit.detach(), at, level) for start, limit in zip((low, high), limits or (), strict=False)]
    z, weight = (
        torch.cat(each) for each in zip(*(weighted_points(forward, *part, level) for part in parts), strict=True)
    )
    return z, weight


def weighted_points(
    forward: Map, u: Float[Tensor, "K M *batch"], measure: Float[Tensor, "K M *batch"], level: int
) -> tuple[Float[Tensor, "KM *batch"], Float[Tensor, "KM *batch"]]:
    """Returns points g(u) and weights w·g′(u) of K stretches.

    The ends of a stretch are rounded, so a short stretch far from u = 0 has a length with a large relative error. Both
    levels may round to the same length, which would hide it; below level 1 a stretch is therefore shorter by
    `END_UNITS` units in the last place of the end nearer to 0, or of 1 (a map of a break to u rounds as 1 does).
    """
    z, pullback, *_ = torch.func.vjp(forward, u)
    unit = EPS * u.abs().amin(1, keepdim=True).clamp_min(1.0)
    shorter = END_UNITS * max(0, 1 - level) * unit / measure.sum(1, keepdim=True).clamp_min(TINY)
    weight = pullback(torch.ones_like(u))[0] * measure * (1 - shorter)
    return z.detach().flatten(0, 1), weight.detach().flatten(0, 1)


def stretches(
    start: Tensor, end: Tensor, at: list[Tensor], rule: Rule
) -> tuple[Float[Tensor, "K M *batch"], Float[Tensor, "K M *batch"]]:
    """Returns a rule on [0, 1] repeated on the K stretches from `start` to `end` between the edges `at`.

    On each stretch the rule's 0 is at the edge nearer to `start`, which may be above `end`. A point is
    measured from the nearer edge: next to an edge, where a tail ends, it keeps its distance from the edge.
    """
    low, high = torch.minimum(start, end), torch.maximum(start, end)
    edges = torch.stack([start, *(torch.clamp(each, low, high) for each in at), end])
    ascending = edges.sort(0).values
    edges = torch.where(start > end, ascending.flip(0), ascending)
    width = edges.diff(dim=0)[:, None]
    shape = (-1, *(1 for _ in start.shape))
    unit, rest, weight = (each.reshape(shape) for each in rule)
    u = torch.where(unit < rest, edges[:-1, None] + width * unit, edges[1:, None] - width * rest)
    return u, width.abs() * weight


def even(panels: int) -> Rule:
    """Returns nodes t, 1 − t and weights on [0, 1] in equal panels.

    The nodes are symmetric, so 1 − t is exact also where t rounds to 1.
    """
    unit, weight = legendre(0.0, 1.0, panels)
    return unit, unit.flip(0), weight


def tail(start: Tensor, limit: Tensor, at: list[Tensor], level: int) -> tuple[Tensor, Tensor]:
    """Returns the rule from an end of the bulk towards `limit`: 95 % of the way at level 0, all of it at level 1."""
    end = start + (limit - start) * min(1.0, 0.95 + 0.05 * level)
    toward = (limit - start).sign()
    far = [each for each in at if bool(((each - start) * toward > 0).any())]
    return stretches(start, end, far, graded(max(1, round(TAIL_PANELS * 2.0**level))))


def graded(panels: int) -> Rule:
    """Returns nodes t, 1 − t and weights on [0, 1] in growing panels: the last is about 2⁶ times as wide as the first.

    >>> unit, _, weight = graded(6)
    >>> round(float(weight @ (-600 * unit).exp()) * 600, 12)
    1.0
    """
    unit, weight = legendre(0.0, 1.0, panels)
    growth = TAIL_PANELS * math.log(2)
    node = (growth * unit).expm1() / math.expm1(growth)
    return node, 1 - node, weight * growth * (growth * unit).exp() / math.expm1(growth)


def location_scale(
    loc: Tensor,
    scale: Tensor,
    breaks: tuple[float, ...],
    level: int,
    *,
    reach: float = 12.0,
    limit: float = 40.0,
    edges: list[float] | None = None,
    panels: int = RULE_PANELS,
) -> tuple[Tensor, Tensor]:
    """Returns a rule for z = loc + scale·u over |u| ≤ reach, with fewer points up to |u| ≤ limit.

    A Normal has 4e-33 of its mass outside |u| ≤ 12, and exp(−800) outside |u| ≤ 40.
    """
    loc, scale = loc.detach(), scale.detach()
    at, inner = ([(point - loc) / scale for point in points] for points in (breaks, edges or []))
    end, most = torch.full_like(loc, reach), torch.full_like(loc, limit)
    limits = (-most, most)
    return panelled(lambda u: loc + scale * u, -end, end, at, level, panels=panels, limits=limits, edges=inner)


def positive(
    low: Tensor,
    high: Tensor,
    breaks: tuple[float, ...],
    level: int,
    *,
    limits: tuple[Tensor, Tensor],
    bulk: float = 6.0,
    panels: int = 2 * RULE_PANELS,
) -> tuple[Tensor, Tensor]:
    """Returns a rule for z = exp(u), for a density on (0, ∞) with a pole or a thin tail at 0.

    `low`, `high` and `limits` are values of u. The last `bulk` of u has as many panels as the rest, because f may
    oscillate there.
    """
    at = [torch.full_like(low, point).log() for point in breaks if point > 0]
    first, last = (limit.clamp(-LOG_MOST, LOG_MOST) for limit in limits)
    refuse_beyond(at, first.where(first > limits[0], -torch.inf), last.where(last < limits[1], torch.inf))
    limits = torch.minimum(low, first), torch.maximum(high, last)
    return panelled(torch.exp, low, high, at, level, panels=panels, limits=limits, edges=[high - bulk])


def gamma_line(concentration: Tensor, rate: Tensor, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
    """Returns the rule `positive` for a Gamma density."""
    log_rate = rate.log()
    low, lowest = (-log_rate - mass / concentration - 1 for mass in (45, UNDERFLOW))
    high, highest = ((concentration + 12 * concentration.sqrt() + tail).log() - log_rate for tail in (60, UNDERFLOW))
    return positive(low, high, breaks, level, limits=(lowest, highest))


def unit_interval(
    one: Tensor, zero: Tensor, breaks: tuple[float, ...], level: int, *, panels: int = 2 * RULE_PANELS
) -> tuple[Tensor, Tensor]:
    """Returns a rule for z = σ(u), for a density on (0, 1) ∝ z^(one − 1) near 0 and ∝ (1 − z)^(zero − 1) near 1.

    It ends at u = `LOGIT_MOST`: beyond, σ(u) rounds to 1 in float64.
    """
    low, high = -45 / one - 1, 36 / zero.clamp_min(1.0)
    at = [torch.full_like(low, point).logit() for point in breaks if 0 < point < 1]
    lowest, most = -UNDERFLOW / one - 1, torch.full_like(high, LOGIT_MOST)
    first = lowest.clamp_min(-LOG_MOST)
    refuse_beyond(at, first.where(first > lowest, -torch.inf), most.where(LOGIT_MOST * zero < UNDERFLOW, torch.inf))
    limits = torch.minimum(low, first), most
    return panelled(torch.sigmoid, low, high, at, level, panels=panels, limits=limits)


def refuse_beyond(at: list[Tensor], low: Tensor, high: Tensor) -> None:
    """Raises NotImplementedError if a break lies beyond `low` or `high`, where a rule ends although mass is left.

    Both levels would find no mass there, and agree.
    """
    if any(bool(((each < low) | (each > high)).any()) for each in at):
        raise NotImplementedError("no rule reaches a break so far out: float64 does not hold the numbers beyond it")


def counted(last: Tensor, limit: Tensor, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
    """Returns 0, 1, 2, … with weight 1 for every coordinate, up to `last`, or to `last` beyond the last break.

    `last` and `limit`: per coordinate, the count above which the mass is below 1e-20, and below the smallest float64.
    Each level goes 25 % farther.
    """
    behind = max(0.0, *breaks, 0.0)
    end = float(torch.minimum(last + behind, limit).max()) * 1.25**level
    z = torch.arange(int(end) + 1, dtype=torch.float64).reshape(-1, *(1 for _ in last.shape))
    z = z.expand(len(z), *last.shape)
    return z, torch.ones_like(z)


def expected(mass: Tensor, f: Tensor) -> Tensor:
    """Returns Σ mass · f over the first axis; f may be infinite where the mass is 0.

    >>> expected(torch.tensor([1.0, 0.0]), torch.tensor([2.0, torch.inf]))
    tensor(2.)
    """
    return (mass * torch.where((mass == 0) & ~f.isfinite(), 0, f)).sum(0)


def nearest_to(mean: Tensor, f: Float[Tensor, "S *rest"]) -> Float[Tensor, "*rest"]:
    """Returns the value along the first axis that is nearest to `mean`.

    >>> nearest_to(torch.tensor([0.9, 0.2]), torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
    tensor([1., 0.])
    """
    apart = (f - mean).abs().nan_to_num(torch.inf)
    return f.gather(0, apart.argmin(0, keepdim=True))[0]
