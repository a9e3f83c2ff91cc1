"""Finds the parameters that depend on discrete outcomes of small probability.

An estimate of a bit's logit is nearly constant until the rarer outcome comes up. If fewer than 25 such outcomes are
expected, a t-statistic has no meaning (a correct estimator showed |z| = 5,800), so these parameters are not tested.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.distributions import Bernoulli, OneHotCategorical

from bench.measure.estimates.gradients import Gradients
from bench.statistics.tails import MIN_OUTCOMES
from estimators.tools.parameters import base


def rare_outcomes(gradients: Gradients, replicates: int) -> Bool[np.ndarray, " P"] | None:
    """Marks the parameters whose rarest outcome is expected fewer than 25 times, `[P]`; None if q has no logits.

    An amortised q draws each bit once per datum, and a weight of its encoder moves only the bits of some data (those
    whose pixel is on), so outcomes are counted over the data that the parameter moves.
    """
    if gradients.estimator.traits.exact:
        return None
    chance = rarest(gradients)
    if chance is None:
        return None
    draws, axes = gradients.samples * replicates, gradients.problem.family.data_axes
    if gradients.minibatches is not None:
        draws *= gradients.minibatches.share_of_draws
    if not axes:
        return gradients.reached(chance * draws < MIN_OUTCOMES).cpu().numpy() != 0
    data = tuple(range(axes))
    in_all = (chance.sum(data, keepdim=True) * draws < MIN_OUTCOMES).expand(chance.shape)
    rare = gradients.reached(in_all).abs() + (expected_outcomes(gradients, chance, axes) * draws < MIN_OUTCOMES)
    return rare.cpu().numpy() != 0


def expected_outcomes(gradients: Gradients, chance: Tensor, axes: int) -> Float[Tensor, " P"]:
    """Expected rare outcomes per draw for each parameter: a sum over the data for which its derivative is not zero.

    The bits of a datum get random weights, so that derivatives of opposite signs do not cancel. If a parameter moves
    one bit of a datum, as in a linear encoder, the ratio is the chance of that bit. Infinite if the parameter moves no
    bit of any datum.
    """
    generator = torch.Generator().manual_seed(0)
    weight = (0.5 + torch.rand(chance.shape, generator=generator, dtype=torch.float64)).to(chance)
    shape = chance.shape[:axes]
    total, moves = chance.new_zeros(gradients.problem.dim), torch.zeros(gradients.problem.dim, dtype=torch.bool)
    for datum in range(shape.numel()):
        one = torch.zeros(shape.numel(), dtype=torch.bool).index_fill(0, torch.tensor(datum), True).reshape(shape)
        alone = weight * one.to(weight).reshape(*shape, *(1,) * (chance.ndim - axes))
        moved = gradients.reached(alone)
        total += torch.where(moved != 0, (gradients.reached(alone * chance) / moved).abs().clamp(max=1.0), 0.0)
        moves |= (moved != 0).cpu()
    return total.where(moves.to(total.device), torch.inf)


def rarest(gradients: Gradients) -> Tensor | None:
    """The probability of the rarest outcome of each variable, in the shape of the logits; None if q has no logits."""
    inner = base(gradients.problem.build(gradients.parameters))
    if isinstance(inner, Bernoulli):
        return torch.minimum(inner.probs, 1 - inner.probs).detach()
    if isinstance(inner, OneHotCategorical):
        return inner.probs.min(-1, keepdim=True).values.expand(inner.probs.shape).detach()
    return None
