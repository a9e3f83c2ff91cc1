"""Which parameters rest on discrete outcomes that hardly occur.

An estimate of a bit's logit is nearly constant until the rarer outcome comes up: with fewer than 25 of them
expected no t-statistic means anything (a correct estimator showed |z| = 5,800), so such parameters are not tested.
"""

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor
from torch.distributions import Bernoulli, OneHotCategorical

from bench.gradients import Gradients
from bench.statistics.tails import MIN_OUTCOMES
from estimators.parameters import base


def rare_outcomes(gradients: Gradients, replicates: int) -> Bool[np.ndarray, " P"] | None:
    """The parameters whose rarest outcome is expected fewer than 25 times; None for a q without logits.

    An amortised q sees a bit once per datum: its parameters are rare only when it is rare in all data together.
    """
    if gradients.estimator.traits.exact:
        return None
    chance = rarest(gradients)
    if chance is None:
        return None
    data = tuple(range(gradients.problem.family.data_axes))
    expected = chance.sum(data, keepdim=True) if data else chance
    rare = (expected * gradients.samples * replicates < MIN_OUTCOMES).expand(chance.shape)
    return gradients.reached(rare).cpu().numpy() != 0


def rarest(gradients: Gradients) -> Tensor | None:
    """The probability of each variable's rarest outcome, in the shape of the logits."""
    inner = base(gradients.problem.build(gradients.parameters))
    if isinstance(inner, Bernoulli):
        return torch.minimum(inner.probs, 1 - inner.probs).detach()
    if isinstance(inner, OneHotCategorical):
        return inner.probs.min(-1, keepdim=True).values.expand(inner.probs.shape).detach()
    return None
