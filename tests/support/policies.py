"""Problems on sequence policies as tests ask them: q at the family's own parameters, and the exact gradient."""

from typing import Any

from torch import Tensor

from bench.problems.exact import reference
from bench.problems.problem import Problem
from bench.problems.theta import as_vector


def policy(which: Problem) -> Any:
    """q at the family's own θ."""
    return which.build(which.encode(which.theta()))


def exact_vector(which: Problem) -> Tensor:
    """The exact gradient as one vector."""
    exact = reference(which)
    assert exact is not None
    return as_vector(exact.gradient)
