"""Which parameters rest on discrete outcomes that hardly occur.

An estimate of a bit's logit is nearly constant until the rarer outcome comes up: with fewer than 25 of them
expected no t-statistic means anything (a correct estimator showed |z| = 5,800), so such parameters are not tested.
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
    """The parameters whose rarest outcome is expected fewer than 25 times; None for a q without logits.

    An amortised q sees a bit once per datum, and a weight of its encoder moves the bits of some data alone (those whose
    pixel is on): the outcomes are counted over the data that the parameter moves.
    """
    if gradients.estimator.traits.exact:
        return None
    chance = rarest(gradients)
    if chance is None:
        return None
    draws, axes = gradients.samples * replicates, gradients.problem.family.data_axes
    if not axes:
        return gradients.reached(chance * draws < MIN_OUTCOMES).cpu().numpy() != 0
    data = tuple(range(axes))
    in_all = (chance.sum(data, keepdim=True) * draws < MIN_OUTCOMES).expand(chance.shape)
    rare = gradients.reached(in_all).abs() + (expected_outcomes(gradients, chance, axes) * draws < MIN_OUTCOMES)
    return rare.cpu().numpy() != 0


def expected_outcomes(gradients: Gradients, chance: Tensor, axes: int) -> Float[Tensor, " P"]:
    """Rare outcomes per draw that move each parameter: a sum over the data for which its derivative is not zero.

    A datum's bits are weighted at random, so that derivatives of opposite signs do not cancel; where a parameter moves
    one bit of a datum, as in a linear encoder, the ratio is that bit's chance. Infinite where no datum moves it.
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
    """The probability of each variable's rarest outcome, in the shape of the logits."""
    inner = base(gradients.problem.build(gradients.parameters))
    if isinstance(inner, Bernoulli):
        return torch.minimum(inner.probs, 1 - inner.probs).detach()
    if isinstance(inner, OneHotCategorical):
        return inner.probs.min(-1, keepdim=True).values.expand(inner.probs.shape).detach()
    return None
