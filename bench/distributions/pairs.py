"""A weighted support of one or two dependent Normal coordinates."""

import torch
from jaxtyping import Float
from torch import Tensor

from bench.distributions.line_rules import location_scale

BLUR = 10
"""Standard deviations of the second coordinate around a break within which the first coordinate's rule is finer."""


def normal_support(
    mean: Float[Tensor, "D"], covariance: Float[Tensor, "D D"], breaks: tuple[float, ...], level: int
) -> tuple[Float[Tensor, "S D"], Float[Tensor, " S"]]:
    """Returns points and weights for an f that is smooth between `breaks` along both coordinates.

    Uses a line rule for the first coordinate and, at each of its points, one for the second given the first. Raises
    NotImplementedError above two coordinates.

    >>> z, weight = normal_support(torch.zeros(2).double(), torch.eye(2).double(), (0.0,), 0)
    >>> density = (-z.square().sum(-1) / 2).exp() / (2 * torch.pi)
    >>> round(float((weight * density) @ (z > 0).all(-1).double()), 12)
    0.25
    """
    mean, covariance = mean.detach(), covariance.detach()
    level -= 1 if breaks else 2
    if len(mean) == 1:
        z, weight = location_scale(mean, covariance[0].sqrt(), breaks, level)
        return z, weight[:, 0]
    if len(mean) > 2:
        raise NotImplementedError(f"there is no rule over {len(mean)} dependent coordinates")
    slope = covariance[0, 1] / covariance[0, 0]
    inner = (covariance[1, 1] - slope * covariance[0, 1]).sqrt()
    near = crossings(mean, slope, inner, breaks)
    first, weight = location_scale(mean[0], covariance[0, 0].sqrt(), breaks, level, edges=near)
    given = mean[1] + slope * (first - mean[0])
    second, each = location_scale(given, inner.expand_as(given), breaks, level)
    return torch.stack([first.expand_as(second), second], -1).flatten(0, 1), (weight * each).flatten()


def crossings(mean: Tensor, slope: Tensor, inner: Tensor, breaks: tuple[float, ...]) -> list[float]:
    """Returns the first coordinates at which the second's conditional mean nears, passes and leaves a break."""
    if not slope:
        return []
    near = [point - mean[1] + step * inner for point in breaks for step in (-BLUR, 0, BLUR)]
    return [float(mean[0] + apart / slope) for apart in near]
