"""Discrete outcomes that hardly occur: until they do, estimates look constant, and no test of a mean can be trusted."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Bernoulli, OneHotCategorical

from bench.advice.own_model import OwnModel
from bench.advice.turns import Sketch
from estimators.tools.parameters import base


def rarest_outcomes(model: OwnModel, sketch: Sketch) -> Float[np.ndarray, " width"] | None:
    """Returns, for each kept coordinate of the gradient, the chance per draw of the rarest outcome that it rests on.

    Added up over data: a weight of an encoder rests on the bits of all data. None where z is neither bits nor one-hot,
    or where coordinates are added up in groups.
    """
    theta = model.leaves()
    q = model.distribution(theta)
    inner = base(q)
    if not isinstance(inner, Bernoulli | OneHotCategorical) or sketch.width < sketch.dim:
        return None
    logits = inner.logits
    probs = inner.probs.detach()
    chance = torch.minimum(probs, 1 - probs) if isinstance(inner, Bernoulli) else probs
    data = tuple(range(len(q.batch_shape)))
    shared = chance.sum(data) if data else chance
    finite = logits.masked_fill(logits.isinf(), 0.0)
    found = torch.full((model.dim,), torch.inf, dtype=torch.float64)
    for most, rarest in _powers_of_ten(shared):
        reached = _reached(finite, (shared <= most).expand(logits.shape), theta)
        found[reached] = rarest
    return found.numpy()


def _powers_of_ten(chances: Tensor) -> list[tuple[float, float]]:
    """The largest and the smallest chance of every power of ten that occurs, from the largest power down."""
    powers = chances[chances > 0].log10().floor()
    groups = [chances[chances.log10().floor() == power] for power in sorted(powers.unique().tolist(), reverse=True)]
    return [(float(group.max()), float(group.min())) for group in groups]


def _reached(logits: Tensor, marked: Tensor, theta: dict[str, Tensor]) -> Tensor:
    """The coordinates of θ that move one of the marked logits."""
    generator = torch.Generator().manual_seed(0)
    weight = (0.5 + torch.rand(logits.shape, generator=generator)).to(logits) * marked
    found = torch.autograd.grad(
        (logits * weight).sum(), list(theta.values()), allow_unused=True, retain_graph=True, materialize_grads=True
    )
    return torch.cat([each.reshape(-1) for each in found]).cpu() != 0
