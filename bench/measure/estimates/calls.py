"""Counts the cost of an estimate: calls of f and of its gradient in z. Every call counts, also at equal points."""

from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from bench.measure.estimates.gradients import Gradients, same
from estimators.core import Objective
from estimators.tools.calls import changed

ENTRIES = ("__call__", "held", "without_log_q", "log_weight", "held_weight", "each", "each_held", "rewards")
"""The methods with which estimators evaluate objectives."""


@dataclass
class Tally:
    """The number of calls so far, per datum: the draws for a batch of data count once.

    `inside`: whether a counted method is running, whose inner calls do not count.
    """

    values: int = 0
    gradients: int = 0
    inside: bool = False
    seen: list[tuple[Tensor, Tensor]] | None = None
    """Pairs of z and a copy of z, to detect an objective that changes z; None if this is not checked."""


class _Added(torch.autograd.Function):
    """The identity; adds to the tally's gradients when it runs, once per element under `torch.func.vmap`."""

    @staticmethod
    def forward(x: Tensor, tally: Tally, draws: int) -> Tensor:
        tally.gradients += draws
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tally, int], output: Tensor) -> None: ...

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0], None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *none: None) -> Tensor:
        return tangent.view_as(tangent)

    @staticmethod
    def vmap(info: Any, dims: tuple[int, None, None], x: Tensor, tally: Tally, draws: int) -> tuple[Any, int]:
        return _Added.apply(x, tally, draws * info.batch_size), dims[0]


class _Marked(torch.autograd.Function):
    """The identity on z; its derivative adds to the tally's gradients, in reverse mode and in forward mode."""

    @staticmethod
    def forward(z: Tensor, tally: Tally, draws: int) -> Tensor:
        if tally.seen is not None:
            tally.seen.append((z, z.clone()))
        return z.view_as(z)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tally, int], output: Tensor) -> None:
        _, ctx.tally, ctx.draws = inputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, None, None]:
        return _Added.apply(gradients[0], ctx.tally, ctx.draws), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *none: None) -> Any:
        return _Added.apply(tangent, ctx.tally, ctx.draws)

    @staticmethod
    def vmap(info: Any, dims: tuple[int, None, None], z: Tensor, tally: Tally, draws: int) -> tuple[Any, int]:
        tally.values += draws * (info.batch_size - 1)
        return _Marked.apply(z, tally, draws * info.batch_size), dims[0]


def counting(f: Objective, *, watched: bool = False) -> tuple[Objective, Tally]:
    """Returns a copy of f, of the same kind, and the tally of its calls.

    `watched`: the copy raises `BadInput` if a call changes the values of z.

    >>> from torch.distributions import Normal
    >>> from estimators import Function
    >>> counted, tally = counting(Function(torch.square))
    >>> _ = counted(torch.zeros(7), Normal(0.0, 1.0))
    >>> tally.values
    7
    """
    tally, kind = Tally(seen=[] if watched else None), type(f)

    def counted(method: Any) -> Any:
        def call(self: Objective, z: Tensor, q: Distribution) -> Tensor:
            if tally.inside:
                return method(self, z, q)
            draws = z.numel() // max(q.batch_shape.numel() * q.event_shape.numel(), 1)
            tally.values += draws
            tally.inside = True
            try:
                value = method(self, _Marked.apply(z, tally, draws), q)
            finally:
                tally.inside = False
            if tally.seen and not all(same(*pair) for pair in tally.seen):
                raise changed(f)
            return value

        return call

    wrapped = copy(f)
    methods = {name: counted(getattr(kind, name)) for name in ENTRIES if hasattr(kind, name)}
    wrapped.__class__ = type(kind.__name__, (kind,), methods)
    return wrapped, tally


def count(gradients: Gradients) -> tuple[float, float]:
    """The calls of f and of its gradient per estimate, from a separate eager pass; restores torch's generator.

    They are counted on all data: a minibatch makes a call cheaper, not rarer.

    Raises `BadInput` if f changes the values of z or θ, here or in an earlier estimate.
    """
    own = gradients.by(gradients.estimator)
    own.minibatches = None
    own.function, tally = counting(gradients.function, watched=True)
    with torch.random.fork_rng(devices=[]):
        own(1)
    if not own.unchanged:
        raise changed(gradients.function)
    return float(tally.values), float(tally.gradients)
