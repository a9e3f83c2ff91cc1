"""The check that a problem's objective is finite wherever q has mass."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from bench.problems.problem import Problem
from estimators.core import Objective, SetObjective
from estimators.errors import BadInput
from estimators.tools.parameters import states, support

MAX_SEARCHED_STATES = 2**16
SEARCHED_DRAWS = 2**16
"""Number of draws to search if z has too many values to enumerate."""

SHOWN_ENTRIES = 8
"""Number of entries of z shown in a message."""


class NotFinite(BadInput):
    """Raised if the objective is NaN or infinite where q has mass, so that there is no gradient to measure."""


def not_finite(problem: Problem) -> str | None:
    """Returns a sentence with a value of z at which the objective is NaN or infinite, or None if none is found.

    Searches all values of z if they are few, else draws of q. The state of torch's CPU generator is restored.
    """
    parameters = problem.encode(problem.theta())
    q = problem.build(parameters)
    f = problem.at(problem.function(next(iter(parameters.values()))), parameters)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        z = values(q, f)
        value = f(z, q)
        wrong = ~value.isfinite()
        if states(q) and not isinstance(f, SetObjective):
            wrong &= q.log_prob(z) > -torch.inf
    if not wrong.any():
        return None
    place = tuple(wrong.nonzero()[0].tolist())
    at = z[place] if not isinstance(f, SetObjective) else z[place[0], :, *place[1:]]
    return f"the objective is not finite at z = {short(at)}: it is {float(value[place])}"


def values(q: Distribution, f: Objective) -> Tensor:
    """Returns all values of z if they are few, else many draws of q."""
    count = states(q)
    if isinstance(f, SetObjective):
        return q.sample((SEARCHED_DRAWS // 16, f.draws))
    if count is not None and count <= MAX_SEARCHED_STATES:
        return support(q)
    return q.sample((max(64, min(SEARCHED_DRAWS, 2**24 // max(1, q.batch_shape.numel() * q.event_shape.numel()))),))


def short(z: Tensor) -> str:
    """Returns a value of z as text for a message.

    >>> short(torch.tensor([1.0, 0.5])), short(torch.zeros(100))
    ('[1, 0.5]', '[0, 0, 0, 0, 0, 0, 0, 0, …] (100 numbers)')
    """
    numbers = [f"{number:.6g}" for number in z.flatten()[:SHOWN_ENTRIES].tolist()]
    if not z.dim():
        return numbers[0]
    if z.numel() <= SHOWN_ENTRIES:
        return f"[{', '.join(numbers)}]"
    return f"[{', '.join(numbers)}, …] ({z.numel()} numbers)"
