"""Distance of draws from the edge of q's support: a finite step in z must not leave the support."""

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from estimators.tools.parameters import base

SHARE = 3
"""A step is at most 1/SHARE of the distance to the edge; with 2, rounding could still put it on the edge."""


def ends_of_support(q: Distribution) -> tuple[Tensor | float | None, Tensor | float | None]:
    """Returns the lowest and the highest value of a coordinate of z; None if unbounded or not declared by q.

    >>> ends_of_support(torch.distributions.Gamma(1.0, 1.0))
    (0.0, None)
    """
    try:
        support = base(q).support
    except NotImplementedError:
        return None, None
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    if support is constraints.simplex:
        return 0.0, 1.0
    found = [getattr(support, name, None) for name in ("lower_bound", "upper_bound")]
    low, high = (float(each) if isinstance(each, int) else each for each in found)
    return low, high


def step_inside(step: float, q: Distribution, z: Tensor) -> Tensor | float:
    """Returns `step` or, for a support with an edge, a step per coordinate of z, so short that z ± step stays inside.

    The steps are detached, and 0 for a draw on the edge itself.

    >>> q = torch.distributions.Exponential(1.0)
    >>> step_inside(0.1, q, torch.tensor([0.03, 3.0, 0.0]))
    tensor([0.0100, 0.1000, 0.0000])
    """
    low, high = ends_of_support(q)
    room = [z - low] if low is not None else []
    room += [high - z] if high is not None else []
    if not room:
        return step
    nearest = room[0] if len(room) == 1 else torch.minimum(*room)
    return (nearest / SHARE).clamp(0.0, step).detach()
