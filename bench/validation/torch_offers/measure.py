"""Measures what a class of `torch.distributions` offers, against its exact law."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.validation.torch_offers.laws import Array, Knobs, Law
from bench.validation.torch_offers.subjects import Subject

OFFER_DRAWS = 2**18
FEW_DRAWS = 2**12
"""Draws that are compared with the support at other parameters, and with the mode."""
OFFER_LIMIT = 5.5
"""Standard errors: a false alarm in 3e7 comparisons."""
SLACK = 1e-3
"""The relative error that is let pass: torch's own approximate pathwise gradients are within 5e-4 (Gamma, Beta)."""

Pairs = tuple[tuple[Callable[[Tensor], Tensor], Callable[[Array], Array]], ...]
"""Test functions, each for tensors and for arrays."""


@dataclass(frozen=True)
class Finding:
    """What was measured at one set of parameters in one precision: the size of an error, and None where it is right.

    Errors of gradients and draws are in standard deviations of one estimate, beyond chance.
    """

    knob: str
    value: float
    dtype: str
    draws: str | None
    density: str | None
    path: str | None
    mean: str | None
    mode: str | None
    moves: tuple[str, ...] = ()


def functions(law: Law) -> Pairs:
    """Bounded smooth test functions on the law's own scale, for tensors and for arrays."""
    middle = law.quantile(0.5)
    narrow = (law.quantile(0.9) - law.quantile(0.1)) or 1.0
    wide = (law.quantile(0.999) - law.quantile(0.001)) or 1.0
    return (
        (lambda x: ((x - middle) / narrow).tanh(), lambda x: np.tanh((x - middle) / narrow)),
        (
            lambda x: 1 / (1 + (1.6 * (x - middle) / wide - 0.4).square()),
            lambda x: 1 / (1 + np.square(1.6 * (x - middle) / wide - 0.4)),
        ),
    )


def slopes(subject: Subject, knobs: Knobs, functions: list[Callable[[Array], Array]]) -> list[Knobs]:
    """∂E h/∂θ for every h and every knob, by central differences of fourth order of the exact law."""
    found: list[Knobs] = [{} for _ in functions]
    for name, value in knobs.items():
        if name in subject.fixed:
            continue
        step = 1e-4 * (knobs["scale"] if name in ("loc", "low", "high") and "scale" in knobs else abs(value) or 1.0)
        laws = [subject.law(knobs | {name: value + k * step}) for k in (-2, -1, 1, 2)]
        for truth, h in zip(found, functions, strict=True):
            at = [law.expect(h) for law in laws]
            truth[name] = (8 * (at[2] - at[1]) - (at[3] - at[0])) / (12 * step)
    return found


def measure_subject(
    subject: Subject, dtypes: Sequence[torch.dtype], seed: int = 0, *, far: bool = True
) -> Iterator[Finding]:
    """Every point of the subject in every precision; only the ordinary one without `far`."""
    for knob, value, knobs in subject.points() if far else subject.points()[:1]:
        with torch.random.fork_rng(devices=[]), np.errstate(all="ignore"):
            law = subject.law(knobs)
            pairs = functions(law)
            truths = slopes(subject, knobs, [array for _, array in pairs])
            for dtype in dtypes:
                torch.manual_seed(seed)
                yield _at(subject, Point(knob, value, knobs, law, pairs, truths), dtype)


@dataclass(frozen=True)
class Point:
    """A set of parameters, its exact law, the test functions and their exact gradients."""

    knob: str
    value: float
    knobs: Knobs
    law: Law
    pairs: Pairs
    truths: list[Knobs]


def _at(subject: Subject, point: Point, dtype: torch.dtype) -> Finding:
    given = {n: torch.full((OFFER_DRAWS,), v, dtype=dtype) for n, v in point.knobs.items()}
    theta = {n: value.requires_grad_() for n, value in given.items() if n not in subject.fixed}
    q = subject.build(given)
    z = q.sample()
    moving = moves(subject, point.knobs, z[:FEW_DRAWS])
    few = subject.build({n: value.detach()[:2] for n, value in given.items()})
    return Finding(
        point.knob,
        point.value,
        str(dtype).removeprefix("torch."),
        reason_of(lambda: _draws(point, subject.project(z).double())),
        reason_of(
            lambda: (
                _mass(subject, point, dtype)
                or _density(subject.project(z).double(), q.log_prob(z), point, theta, moving)
            )
        ),
        reason_of(lambda: _path(subject, q, point, theta)),
        reason_of(lambda: _mean(subject, few, point.law)),
        reason_of(lambda: "" if point.knob else _mode(few, z[:FEW_DRAWS])),
        moving,
    )


def reason_of(check: Callable[[], str | None]) -> str | None:
    """What a check finds, or what torch raises."""
    try:
        return check()
    except (RuntimeError, ValueError, TypeError) as error:
        return f"raises {type(error).__name__}: {str(error).splitlines()[0]}"


def _draws(point: Point, x: Tensor) -> str | None:
    """The draws' own averages of the test functions are the law's."""
    if not bool(x.isfinite().all()):
        return "not finite"
    for tensor, array in point.pairs:
        value = tensor(x)
        off = excess(value - point.law.expect(array), float(value.std()), 0.0)
        if off:
            return f"off by {off:.2g} sd"
    return None


def _mass(subject: Subject, point: Point, dtype: torch.dtype) -> str | None:
    """At ordinary parameters the density sums or integrates to 1, where a draw has one free coordinate."""
    if subject.lift is None or point.knob or dtype != torch.float64:
        return None
    law = point.law
    x = torch.from_numpy(law.points)
    q = subject.build({n: torch.full((len(x),), v, dtype=dtype) for n, v in point.knobs.items()})
    inside = np.isfinite(law.points) & (law.weights > 0)
    each = np.where(inside, q.log_prob(subject.lift(x)).exp().numpy(), 0.0)
    if law.discrete:
        off = abs(float(each.sum()) - 1)
    else:
        order = np.argsort(law.points)
        off = abs(float(np.trapezoid(np.nan_to_num(each[order], posinf=0.0), law.points[order])) - 1)
    return f"its density integrates to 1 ± {off:.2g}" if off > (1e-6 if law.discrete else 0.01) else None


def _density(x: Tensor, log_q: Tensor, point: Point, theta: dict[str, Tensor], moving: tuple[str, ...]) -> str | None:
    """The score's mean is 0, and times a test function it is the gradient; parameters that move the support aside."""
    if not bool(log_q.isfinite().all()):
        return "not finite"
    for name, s in zip(theta, grads(log_q, theta), strict=True):
        if name in moving:
            continue
        if not bool(s.isfinite().all()):
            return "not finite"
        off = excess(s, float(s.std()) or 1.0, 0.0)
        if off:
            return f"the score in {name} has mean {off:.2g} sd"
        for (tensor, array), truth in zip(point.pairs, point.truths, strict=True):
            g = (tensor(x) - point.law.expect(array)) * s
            if excess(g - truth[name], float(g.std()) or 1.0, abs(truth[name])):
                return f"the score's gradient in {name} is {float(g.mean()):.4g} in place of {truth[name]:.4g}"
    return None


def _path(subject: Subject, q: Any, point: Point, theta: dict[str, Tensor]) -> str | None:
    """The derivative of a test function along the draws is the gradient."""
    if not q.has_rsample:
        return "no rsample"
    x = subject.project(q.rsample()).double()
    for (tensor, _), truth in zip(point.pairs, point.truths, strict=True):
        found = grads(tensor(x), theta)
        for name, g in zip(theta, found, strict=True):
            if not bool(g.isfinite().all()):
                return "not finite"
            if excess(g - truth[name], float(g.std()), max(abs(truth[name]), float(g.abs().mean()))):
                return f"the path's gradient in {name} is {float(g.mean()):.4g} in place of {truth[name]:.4g}"
    return None


def _mean(subject: Subject, q: Any, law: Law) -> str | None:
    """`mean` is E z."""
    try:
        mean = q.mean.detach()
    except (NotImplementedError, AttributeError):
        return "no mean"
    if not bool(mean.isfinite().all()):
        return "not finite"
    if not subject.linear:
        return "no mean"
    x = float(subject.project(mean).flatten()[0])
    if not math.isfinite(law.mean):
        return f"{x:.4g} where there is none"
    spread = law.quantile(0.9) - law.quantile(0.1)
    if abs(x - law.mean) > SLACK * (spread + abs(law.mean)):
        return f"{x:.4g} in place of {law.mean:.4g}"
    return None


def _mode(q: Any, z: Tensor) -> str | None:
    """`mode` lies inside the support, and no draw has a higher density."""
    from estimators.tools.torch_offers import inside

    try:
        mode = q.mode.detach()
    except (NotImplementedError, AttributeError):
        return "no mode"
    if not bool(mode.isfinite().all()):
        return "not finite"
    top, drawn = q.log_prob(mode), q.log_prob(z[:, None])
    if not bool(top.isfinite().all()) or float(drawn.max() - top.max()) > SLACK * max(1.0, abs(float(top.max()))):
        return "not the highest density"
    return None if inside(q, mode) else "on the edge"


def moves(subject: Subject, knobs: Knobs, z: Tensor) -> tuple[str, ...]:
    """The parameters that move the support: draws that a slightly different value would not allow."""
    found = []
    for name, value in knobs.items():
        if name in subject.fixed:
            continue
        shift = 0.05 * (knobs["scale"] if name == "loc" and "scale" in knobs else abs(value))
        for sign in (-1, 1):
            there = {
                n: torch.full((len(z),), v, dtype=z.dtype) for n, v in (knobs | {name: value + sign * shift}).items()
            }
            here = {n: torch.full((len(z),), v, dtype=z.dtype) for n, v in knobs.items()}
            try:
                now, then = subject.build(here).support.check(z), subject.build(there).support.check(z)
            except NotImplementedError:
                continue
            if bool((now & ~then).any()) and name not in found:
                found.append(name)
    return tuple(found)


def grads(value: Tensor, theta: dict[str, Tensor]) -> list[Tensor]:
    """The gradient of each draw in each parameter, `[N]`, float64; zero where it does not depend."""
    if not value.requires_grad:
        return [torch.zeros(len(each), dtype=torch.float64) for each in theta.values()]
    found = torch.autograd.grad(value.sum(), list(theta.values()), allow_unused=True, retain_graph=True)
    return [
        torch.zeros(len(each), dtype=torch.float64) if g is None else g.double()
        for g, each in zip(found, theta.values(), strict=True)
    ]


def excess(difference: Tensor, sd: float, size: float) -> float:
    """How far the mean is from 0 beyond chance and slack, in `sd`; 0 where it is not."""
    mean, error = float(difference.mean()), float(difference.std()) / len(difference) ** 0.5
    over = abs(mean) - OFFER_LIMIT * error - SLACK * max(sd, size)
    if over <= 0:
        return 0.0
    return over / sd if over > 0 and sd > 0 else float(not over < 1e-12)  # NaN is wrong, too
