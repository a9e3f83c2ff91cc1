"""Whether the steps that a class declares are those of its density: looked at before anything is measured."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from estimators.tools.parameters import base
from estimators.tools.steps import (
    follows,
    has_other_values,
    log_law,
    log_prob_steps,
    other_values,
    own_steps,
    replaced,
    variables,
)
from estimators.traits import Need

STEP_DRAWS = 8
"""Draws at which the steps are looked at."""
NUMBERS_COMPARED = 2**20
"""Upper limit on the numbers in z with its steps replaced; of longer sequences some steps are looked at."""

_known: dict[Any, dict[Need, str]] = {}
"""By class, event shape and precision: what was found."""


def steps_offered(q: Distribution) -> set[Need]:
    """Returns which of steps and their other values q declares, rightly or not."""
    if not own_steps(q):
        return set()
    return {Need.STEPS, Need.OTHER_VALUES} if has_other_values(q) else {Need.STEPS}


def steps_refused(q: Distribution) -> dict[Need, str]:
    """Returns which of steps and their other values q declares wrongly, each with the reason in words.

    Looked at once per class, event shape and precision, at a few seeded draws; torch's generator is left as it was.
    """
    if not own_steps(q):
        return {}
    inner = base(q)
    dtypes = {value.dtype for value in vars(inner).values() if isinstance(value, Tensor)}
    key = (type(inner), inner.event_shape, frozenset(dtypes))
    if key not in _known:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            _known[key] = _looked_at(q)
    return _known[key]


def _looked_at(q: Distribution) -> dict[Need, str]:
    name = type(base(q)).__name__
    try:
        z, other = q.sample(torch.Size([STEP_DRAWS])), q.sample(torch.Size([STEP_DRAWS]))
        why = _no_sum(q, z) or _no_order(q, z, other)
        if why:
            return dict.fromkeys((Need.STEPS, Need.OTHER_VALUES), f"{name}: {why}")
        why = _no_values(q, z) if has_other_values(q) else None
        return {Need.OTHER_VALUES: f"{name}: {why}"} if why else {}
    except Exception as error:
        said = " ".join(str(error).split())[:120]
        reason = f"{name}: log_prob_steps raises {type(error).__name__} when it is tried: {said}"
        return dict.fromkeys((Need.STEPS, Need.OTHER_VALUES), reason)


def _no_sum(q: Distribution, z: Tensor) -> str | None:
    each, whole = log_prob_steps(q, z), q.log_prob(z)
    right = (*whole.shape, *variables(q))
    if each.shape != right:
        return f"log_prob_steps gives shape {list(each.shape)} for z of shape {list(z.shape)}; {list(right)} is right"
    if not _same(each.sum(-1), whole):
        return "its log_prob_steps do not sum to its log_prob"
    order = follows(q, each)
    if order.shape != (right[-1], right[-1]):
        return f"its follows has shape {list(order.shape)}; {[right[-1]] * 2} is right"
    if bool(((order @ order > 0) & (order == 0)).any()) or bool((order.diagonal() != 0).any()):
        return "its follows is not an order: where i follows j and j follows k, i must follow k, and no step itself"
    return None


def _rows(q: Distribution, z: Tensor, copies: int) -> Tensor:
    """Returns one-hot rows of some steps, evenly spaced, as many as fit."""
    count = variables(q).numel()
    some = max(1, min(count, NUMBERS_COMPARED // max(1, copies * z.numel())))
    at = torch.linspace(0, count - 1, some, device=z.device).round().long()
    return torch.eye(count, dtype=torch.bool, device=z.device)[at]


def _no_order(q: Distribution, z: Tensor, other: Tensor) -> str | None:
    """Compares the steps' log-densities after one step was replaced, where they must not change."""
    rows = _rows(q, z, 1)
    before = log_prob_steps(q, z)
    after = log_prob_steps(q, replaced(q, rows, z, other.unsqueeze(0))[0])
    free = (follows(q, before) == 0).mT[rows.long().argmax(-1)] & ~rows  # by replaced step and step
    free = free.reshape(len(rows), *(1 for _ in before.shape[:-1]), -1)
    moved = free & ((after - before).abs() > _slack(before)) & after.isfinite()
    if not bool(moved.any()):
        return None
    place = moved.nonzero()[0]
    j, i = int(rows[place[0]].long().argmax()), int(place[-1])
    return f"the log-density of its step {i} depends on step {j}, which it does not follow"


def _no_values(q: Distribution, z: Tensor) -> str | None:
    """Tests that the probabilities of a step's values sum to 1, and that other_values are draws that can occur."""
    new = other_values(q, z)
    rows = _rows(q, z, len(new))
    here = log_prob_steps(q, z)
    x = replaced(q, rows, z, new)
    steps = log_prob_steps(q, x)
    at = rows.reshape(1, len(rows), *(1 for _ in here.shape[:-1]), -1)
    total = (torch.where(at, steps, 0).sum(-1).exp()).sum(0) + torch.where(at[0], here, 0).sum(-1).exp()
    if not _same(total, torch.ones_like(total)):
        return "the probabilities of a step's value and of its other values do not sum to 1"
    return "its log_environment is NaN at other values" if bool(log_law(q, x, steps).isnan().any()) else None


def _slack(value: Tensor) -> Tensor:
    return 1e3 * torch.finfo(value.dtype).eps * (1 + value.abs())


def _same(x: Tensor, y: Tensor) -> bool:
    return bool(((x - y).abs() <= _slack(y)).all())
