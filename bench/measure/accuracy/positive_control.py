"""Control estimates of a cell: score-function estimates of the same gradient, drawn only if a verdict needs them.

Estimates that miss the exact gradient are biased, or depend on an event that has not come up; see
`bench.statistics.control`.
"""

import numpy as np
import torch
from torch import Tensor

from bench.measure.estimates.batching import power_of_two, replicates_per_chunk
from bench.measure.estimates.gradients import Gradients
from bench.problems.problem import Problem
from bench.statistics.control import KNOWN, Ask, Control, nothing_known
from bench.statistics.stream import Replicates, Vector
from estimators.core import Estimator, SetObjective
from estimators.registry import estimators

MAX_CONTROL = 65_536
"""Largest number of control estimates: enough for the large errors that could make a verdict wrong."""

TYPICAL = 256
"""Number of score-function estimates from which the size of |f| · |score| is estimated."""

TOGETHER = 2**22
"""Largest number of entries of the score-function estimates that are drawn together."""


def control_of(gradients: Gradients, calls: float, seed: int) -> Ask:
    """The control of a cell, as a function of the number of replicates.

    Estimates of an `exact` estimator cannot hide an event. An estimator that never calls f has no control, because its
    draws are not arguments of f. Otherwise the control has separate draws, in float64.

    Args:
        gradients: Eager gradients of the cell.
        calls: Calls of f per estimate.
        seed: Seed of the control's draws.
    """
    if gradients.estimator.traits.exact:
        return lambda replicates: KNOWN
    if not calls:
        return nothing_known
    drawn: list[Control] = []

    def control(replicates: int) -> Control:
        if not drawn or drawn[-1].count < min(replicates, MAX_CONTROL):
            torch.manual_seed(seed)
            drawn.append(drawn_control(gradients, min(replicates, MAX_CONTROL)))
        return drawn[-1]

    return control


def drawn_control(gradients: Gradients, replicates: int) -> Control:
    """Draws leave-one-out score-function estimates if q and f allow them; else checks only whether f varies."""
    names, samples = ("rloo", "set_rloo"), max(gradients.samples, 2)
    own = next((found for name in names if (found := control_gradients(gradients, name, samples))), None)
    if own is None:
        return Control(varies=f_varies(gradients, replicates), count=replicates)
    chunk = min(replicates_per_chunk(own), replicates)
    kept = Replicates({"all": slice(0, gradients.problem.dim)}, None, None)
    while kept.drawn < replicates:
        kept.add(own(chunk))
    if kept.count < 2:
        return Control(varies=False, count=kept.drawn)
    block = kept.block("all")
    f, furthest = own.function, np.sqrt(block.moments.furthest)
    jumps = not f.differentiable or bool(f.breaks) or f.half_space is not None
    return Control(block.varies(1e-12), block.batches, furthest, block.count, jumps)


def typical_size(gradients: Gradients) -> Vector | None:
    """The root mean square of |f| · |score| per coordinate, `[P]`, from a few estimates; None if q has no density."""
    own = control_gradients(gradients, "reinforce", 1)
    if own is None:
        return None
    rows = min(TYPICAL, power_of_two(TOGETHER // gradients.problem.dim))
    squares = sum(
        (own(rows).square_().sum(0) for _ in range(TYPICAL // rows)), start=torch.zeros(()).to(gradients.device)
    )
    size = (squares / TYPICAL).sqrt().cpu().numpy()
    return np.where(np.isfinite(size), size, 0.0)


def control_gradients(gradients: Gradients, name: str, samples: int) -> Gradients | None:
    """Gradients of the same problem by the estimator `name`, in float64; None if it does not fit."""
    estimator: Estimator = estimators.get(name)
    if gradients.offer.unmet(estimator, samples) is not None:
        return None
    like = next(iter(gradients.parameters.values()))
    if like.dtype == torch.float64:
        return gradients.by(estimator, samples)
    return Gradients(gradients.problem, estimator, samples, device=like.device)


def f_varies(gradients: Gradients, replicates: int) -> bool:
    """Whether f takes different values in draws of q, of at most 8192 replicates."""
    problem: Problem = gradients.problem
    parameters = gradients.expanded(min(replicates, 8192))
    f = problem.at(gradients.function, parameters)
    each = (gradients.samples, f.draws) if isinstance(f, SetObjective) else (gradients.samples,)
    q = problem.build(parameters)
    with torch.no_grad():
        value: Tensor = problem.reduce(f(q.sample(each), q)).double()
    return bool((value.amax() - value.amin()) > 1e-6 * value.abs().amax())
