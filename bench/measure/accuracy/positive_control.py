"""Control estimates for a cell: what a score function finds of the exact gradient, drawn only where a verdict needs it.

Estimates that miss the exact gradient are biased, or wait for an event that has not come up; see
`bench.statistics.control`.
"""

import numpy as np
import torch
from torch import Tensor

from bench.measure.estimates.batching import replicates_per_chunk
from bench.measure.estimates.gradients import Gradients
from bench.problems.problem import Problem
from bench.statistics.control import KNOWN, Ask, Control, nothing_known
from bench.statistics.stream import Replicates, Vector
from estimators.core import Estimator, ImportanceBound
from estimators.registry import estimators

MAX_CONTROL = 65_536
"""Control estimates at most: they tell the large errors, of events that a verdict would be wrong by."""

TYPICAL = 256
"""Score-function estimates that show how large |f| · |score| is."""


def control_of(gradients: Gradients, calls: float, seed: int) -> Ask:
    """The control of the cell whose eager `gradients` are these; `calls`: of f, per estimate.

    An `exact` estimator draws nothing that could come up. One that never asks for f has no control: its draws are not
    f's. The control has separate draws, seeded by `seed`, in float64.
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
    """Leave-one-out score functions where q and f allow them; else only whether f varies in as many draws."""
    own = control_gradients(gradients, "rloo", max(gradients.samples, 2))
    if own is None:
        return Control(varies=f_varies(gradients, replicates), count=replicates)
    chunk = min(replicates_per_chunk(own), replicates)
    kept = Replicates({"all": slice(0, gradients.problem.dim)}, None, None)
    while kept.drawn < replicates:
        kept.add(own(chunk))
    if kept.total.count < 2:
        return Control(varies=False, count=kept.drawn)
    block = kept.block("all")
    f, furthest = own.function, np.sqrt(block.moments.furthest)
    jumps = not f.differentiable or bool(f.breaks) or f.half_space is not None
    return Control(block.varies(1e-12), block.batches, furthest, block.count, jumps)


def typical_size(gradients: Gradients) -> Vector | None:
    """The root mean square of |f| · |score| per coordinate, from a few estimates; None where q has no density."""
    own = control_gradients(gradients, "reinforce", 1)
    if own is None:
        return None
    size = own(TYPICAL).square().mean(0).sqrt().cpu().numpy()
    return np.where(np.isfinite(size), size, 0.0)


def control_gradients(gradients: Gradients, name: str, samples: int) -> Gradients | None:
    """Gradients of the same problem by another estimator, in float64; None where it does not fit."""
    estimator: Estimator = estimators.get(name)
    if gradients.offer.unmet(estimator, samples) is not None:
        return None
    like = next(iter(gradients.parameters.values()))
    if like.dtype == torch.float64:
        return gradients.by(estimator, samples)
    return Gradients(gradients.problem, estimator, samples, device=like.device)


def f_varies(gradients: Gradients, replicates: int) -> bool:
    """Whether f takes different values in draws of q; at most 8192 replicates of them."""
    problem: Problem = gradients.problem
    parameters = gradients.expanded(min(replicates, 8192))
    f = problem.at(gradients.function, parameters)
    each = (gradients.samples, f.draws) if isinstance(f, ImportanceBound) else (gradients.samples,)
    q = problem.build(parameters)
    with torch.no_grad():
        value: Tensor = problem.reduce(f(q.sample(each), q)).double()
    return bool((value.amax() - value.amin()) > 1e-6 * value.abs().amax())
