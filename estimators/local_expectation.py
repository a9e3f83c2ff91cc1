"""Sums over one variable exactly and samples the others, for independent bits and categoricals."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Bernoulli, Distribution

from estimators.control_variates import flat
from estimators.core import Estimator, Objective
from estimators.registry import register
from estimators.tools.coordinates import chunk
from estimators.tools.parameters import base, linear, sample, valued
from estimators.traits import Need, Traits


@register("local_expectation")
@dataclass(frozen=True)
class LocalExpectation(Estimator):
    """Σ_i (f(1, b_−i) − f(0, b_−i)) ∇θ t_i, the mean over n draws b; D + 1 evaluations of f per draw.

    Each bit is summed exactly given the other bits. These come from the same draw for all bits, so f at the draw itself
    is used D times.
    Paper: Titsias, Lázaro-Gredilla 2015, NIPS 2015; preprint arXiv:1503.01494.

    >>> from torch.distributions import Bernoulli, Independent
    >>> from estimators import Function
    >>> logits = torch.zeros(2, requires_grad=True)
    >>> q = Independent(Bernoulli(logits=logits), 1)
    >>> LocalExpectation().surrogate(q, Function(lambda b: b[..., 0] + 3 * b[..., 1]), 1).backward()
    >>> logits.grad  # exact where f is a sum over bits
    tensor([0.2500, 0.7500])
    """

    traits = Traits(
        unbiased=True,
        needs=frozenset({Need.BINARY, Need.FACTORISED}),
        ends=True,
        paper="Titsias, Lázaro-Gredilla 2015",
    )

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        z = sample(q, n)
        value = f.held(z, q)
        D = q.event_shape.numel()
        one = torch.eye(D, dtype=z.dtype, device=z.device)
        one = one.reshape(D, 1, *(1 for _ in q.batch_shape), *q.event_shape)
        flipped = torch.cat([f(z + rows * (1 - 2 * z), q) for rows in one.split(chunk(z.numel()))])
        rise = (2 * flat(z, q) - 1) * (value - flipped).movedim(0, -1)
        return valued(value.mean(0), linear(rise.mean(0).reshape(q.mean.shape), q.mean, q))


@register("indecater")
@dataclass(frozen=True)
class IndeCateR(Estimator):
    """Σ_d Σ_c ∇θ p_d(c) · mean_k f(x_{k,−d}, c): every variable is summed out in turn, K·D·C evaluations.

    Each variable d has separate draws or, with `shared = True`, all use the same n draws, as local expectation does.
    Paper: De Smet, Sansone, Zuidberg Dos Martires 2023, arXiv:2311.12569.

    >>> from torch.distributions import OneHotCategorical
    >>> from estimators import Function
    >>> logits = torch.zeros(2, requires_grad=True)
    >>> q = OneHotCategorical(logits=logits)
    >>> IndeCateR().surrogate(q, Function(lambda z: 4 * z[..., 0]), 1).backward()
    >>> logits.grad
    tensor([ 1., -1.])
    """

    traits = Traits(
        unbiased=True, needs=frozenset({Need.FINITE, Need.FACTORISED}), ends=True, paper="De Smet et al. 2023"
    )

    shared: bool = False

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        p = probabilities(q)
        x = sample(q, 1, n) if self.shared else None
        value = torch.cat([f.held(part, q).mean(2) for part in placed(q, n, x)], 1)  # [C, V, *batch]
        table = value.movedim((1, 0), (-2, -1))
        table = torch.where((p > 0) | table.isfinite(), table, 0)  # f need not be finite where q has no mass
        return valued((table * p.detach()).sum(-1).mean(-1), linear(table, p, q))


def probabilities(q: Distribution) -> Float[Tensor, "*batch V C"]:
    """Returns each variable's probabilities, differentiable; those of a bit are for 0 and 1."""
    inner = base(q)
    if isinstance(inner, Bernoulli):
        one = flat(q.mean, q)
        return torch.stack([1 - one, one], -1)
    return inner.mean.reshape(*q.batch_shape, -1, inner.event_shape[-1])


def placed(
    q: Distribution, n: int, x: Float[Tensor, "1 n ..."] | None = None
) -> Iterator[Float[Tensor, "C part n ..."]]:
    """Yields n draws for each variable d, with d set to every choice, in chunks of variables.

    All chunks together have shape `[C, V, n, *batch, *event]`. `x`: draws, the same for all variables. Default: fresh
    draws for every chunk.

    >>> from torch.distributions import Independent
    >>> q = Independent(Bernoulli(logits=torch.zeros(2)), 1)
    >>> next(placed(q, 1, torch.zeros(1, 1, 2))).tolist()
    [[[[0.0, 0.0]], [[0.0, 0.0]]], [[[1.0, 0.0]], [[0.0, 1.0]]]]
    """
    inner, batch = base(q), [1] * len(q.batch_shape)
    own = inner.event_shape
    free = q.event_shape[: len(q.event_shape) - len(own)]
    choice = inner.enumerate_support(expand=False).detach()
    choice = choice.reshape(len(choice), 1, 1, *batch, *(1 for _ in free), *own)
    V = free.numel()
    mask = torch.eye(V, dtype=choice.dtype, device=choice.device).reshape(V, 1, *batch, *free, *(1 for _ in own))
    for rows in mask.split(chunk(len(choice) * n * q.batch_shape.numel() * q.event_shape.numel())):
        part = sample(q, len(rows), n) if x is None else x
        yield part + rows * (choice - part)
