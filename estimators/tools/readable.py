"""Reading values of tensors, which is impossible on the meta device and inside a transform."""

from contextlib import suppress
from typing import Any

from torch import Tensor
from torch.distributions import Distribution, constraints


def number_of(value: Tensor) -> float | None:
    """Returns the value of a scalar tensor as a float, or None if it cannot be read."""
    if value.is_meta:
        return None
    with suppress(RuntimeError):
        return float(value)
    return None


def all_true(each: Tensor) -> bool:
    """Returns whether all values are true; True if they cannot be read."""
    return number_of(each.all().float()) != 0.0


def inside(q: Distribution, z: Tensor) -> bool:
    """Returns whether z lies in q's support and, if z is continuous, not on its edge.

    >>> import torch
    >>> from torch import distributions
    >>> inside(distributions.Exponential(1.0), torch.tensor(0.0))
    False
    """
    try:
        support: Any = q.support
    except NotImplementedError:
        return True
    if not all_true(support.check(z)):
        return False
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    if support.is_discrete:
        return True
    if support is constraints.simplex:
        return all_true(z > 0)
    low, high = (getattr(support, name, None) for name in ("lower_bound", "upper_bound"))
    return (low is None or all_true(z > low)) and (high is None or all_true(z < high))
