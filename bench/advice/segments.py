"""Does f rise between two draws as its slopes say? A jump shows there without the noise of a score function."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from bench.advice import stopwatch
from bench.advice.given_objective import draws_that_fit
from bench.advice.own_model import OwnModel
from estimators.core import Objective, SetObjective

COMPARED_PAIRS = 1024
"""Pairs of draws. A jump at the border of a region that holds 1 % of q's mass is missed with a chance of
(1 − 0.0198)^1024 = 1.3e-9."""
ROUNDING_OF_SIDES = {torch.float32: 1e-4, torch.float64: 1e-9}
"""How far the two sides may be apart, relative to the largest term."""


def follows_its_slopes(model: OwnModel, seconds: float) -> bool | None:
    """Whether f(b) − f(a) = (f′(a) + f′(b))·(b − a)/2 for `COMPARED_PAIRS` pairs of draws a, b: the trapezoidal rule.

    It is exact for a quadratic f, and wrong where f jumps between a and b. A pathwise estimator whose estimates do not
    vary has met the slopes of one quadratic function at all its draws; if f also rises as these slopes say, f is that
    function plus a constant, and the estimates are the gradient. Uses torch's generator.

    Returns:
        None where f has no slope at the draws, has noise, weighs several draws at once, or `seconds` are too few.
    """
    if isinstance(model.objective, SetObjective) or model.noise:
        return None
    q, deadline, compared = model.distribution(model.theta), stopwatch.read() + seconds, 0
    try:
        while compared < COMPARED_PAIRS:
            pairs = draws_that_fit(q, 2 * COMPARED_PAIRS) // 2
            if not _follow(model.objective, q, pairs):
                return False
            compared += pairs
            if compared < COMPARED_PAIRS and stopwatch.read() > deadline:
                return None
    except (RuntimeError, TypeError, ValueError):  # no slope along z: a black box, whole numbers
        return None
    return True


def _follow(f: Objective, q: Distribution, pairs: int) -> bool:
    """Compares the two sides at some pairs of draws."""
    z = q.sample(torch.Size([2 * pairs])).detach().requires_grad_()
    values = f(z, q)
    (slopes,) = torch.autograd.grad(values.sum(), z)
    (a, b), (slope_a, slope_b) = z.detach().double().chunk(2), slopes.double().chunk(2)
    terms = (slope_a + slope_b) * (b - a) / 2
    below, above = values.detach().double().chunk(2)
    size = torch.maximum(values.detach().abs().max().double(), _over_event(terms.abs(), q).max())
    off = (above - below - _over_event(terms, q)).abs()
    return bool((off <= ROUNDING_OF_SIDES.get(values.dtype, 1e-4) * size).all())


def _over_event(terms: Tensor, q: Distribution) -> Tensor:
    """Sums over the event axes."""
    return terms.sum(tuple(range(-len(q.event_shape), 0))) if q.event_shape else terms
