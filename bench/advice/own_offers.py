"""The offer of a user's q: from torch's tables and probes or, if those cannot rebuild q, from trials at θ itself."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from bench.advice.own_model import OwnModel
from bench.numerics.tensors import Tensors
from estimators.joint import Joint
from estimators.needs import Offer
from estimators.tools.parameters import base
from estimators.tools.steps_checks import steps_offered, steps_refused
from estimators.tools.torch_offers import kind
from estimators.traits import Need

SCORE_GROUPS, SCORES_EACH = 64, 128
"""Mean scores that are tested against 0, and the draws in each."""
STANDARD_ERRORS = 8.0
"""Standard errors of a mean over the groups."""


def own_offer(model: OwnModel) -> Offer:
    """Returns the offer of the model's q and f at θ. Uses torch's generator.

    A distribution whose class torch does not know and that cannot be made from its parameters (a policy network, a
    flow) offers a density if its mean score over its own draws is 0, and a path if its gradient agrees with the score.
    """
    q = model.q()
    try:
        offer = Offer(q, model.objective)
    except (NotImplementedError, AttributeError):  # a class that names no parameters
        offer = object.__new__(Offer)
        own = getattr(base(q), "offers", ())
        offer.needs = frozenset({Need.INDEPENDENT_DRAWS, *own}) | Offer(_PLAIN, model.objective).needs & _OF_OBJECTIVES
        offer.reasons = steps_refused(q)
        offer.needs |= steps_offered(q) - offer.reasons.keys()
    if kind(base(q)) is not None:
        return offer
    if isinstance(q, Joint):  # classes of the user's own among the variables are tried together with the others
        offer.reasons.clear()
    denied = frozenset(getattr(base(q), "offers_not", ()))
    for need, probe in ((Need.DENSITY, _no_density), (Need.REPARAMETERISED, _no_path)):
        if need in offer.needs | denied or _fails_for_good(offer, need):
            continue
        reason = probe(model)
        if reason is None:
            offer.needs |= {need}
            offer.reasons.pop(need, None)
        else:
            offer.reasons[need] = f"{type(base(q)).__name__}: {reason}"
    return offer


_PLAIN: Distribution = torch.distributions.Normal(0.0, 1.0)
_OF_OBJECTIVES = frozenset(
    {
        *(Need.DIFFERENTIABLE, Need.PIECEWISE, Need.TWICE_DIFFERENTIABLE, Need.RELAXABLE),
        *(Need.EVIDENCE, Need.IMPORTANCE_BOUND, Need.SETS, Need.ORDER_STATISTICS, Need.TERMS, Need.DETERMINISTIC),
    }
)


def _fails_for_good(offer: Offer, need: Need) -> bool:
    """Whether torch's probe could make q at other parameters and found something wrong."""
    return need in offer.reasons and "cannot be made" not in offer.reasons[need]


def _no_density(model: OwnModel) -> str | None:
    """Returns why log q's gradient is no score, in a clause; None if its mean over q's draws is 0."""
    return _tried(lambda: _mean_of(model, lambda q, z: q.log_prob(z), "the mean of its score is not 0"))


def _no_path(model: OwnModel) -> str | None:
    """Returns why rsample's gradient is not that of q's law, in a clause."""
    if not model.q().has_rsample:
        return "it has no rsample"

    def h(x: Tensor, axes: int) -> Tensor:
        each = (x / 2 + 0.3).tanh()
        return each.flatten(-axes).sum(-1) if axes else each

    def difference(q: Distribution, z: Tensor) -> Tensor:
        along = q.rsample(z.shape[:1])
        if not along.requires_grad:
            raise ValueError("its rsample has no gradient")
        held = h(along.detach(), len(q.event_shape))
        return h(along, len(q.event_shape)) - (held - held.mean(0)) * q.log_prob(along.detach())

    return _tried(lambda: _mean_of(model, difference, "the gradient of its rsample is not that of its density"))


def _tried(check: Callable[[], str | None]) -> str | None:
    try:
        return check()
    except Exception as error:
        return f"{type(error).__name__} when it was tried: {' '.join(str(error).split())[:120]}"


def _mean_of(model: OwnModel, value: Callable[[Distribution, Tensor], Tensor], wrong: str) -> str | None:
    """Returns `wrong` if the expected gradient in θ of `value(q, z)` over q's draws is not 0."""
    rows = []
    for _ in range(SCORE_GROUPS):
        theta = model.leaves()
        q = model.distribution(theta)
        z = q.sample(torch.Size([SCORES_EACH])).detach()
        rows.append(_gradient(value(q, z).mean(0).sum(), theta))
    found = np.array(rows)
    if not np.isfinite(found).all():
        return "its log-density is not finite at its own draws"
    error = found.std(0, ddof=1) / SCORE_GROUPS**0.5
    slack = 1e-4 * np.abs(found).mean(0) + 1e-6 * (np.square(found).mean() ** 0.5)
    return wrong if bool((np.abs(found.mean(0)) > STANDARD_ERRORS * error + slack).any()) else None


def _gradient(value: Tensor, theta: Tensors) -> Any:
    if not value.requires_grad:
        raise ValueError("its log-density has no gradient in the parameters")
    found = torch.autograd.grad(value, list(theta.values()), allow_unused=True, materialize_grads=True)
    return torch.cat([each.reshape(-1) for each in found]).double().cpu().numpy()
