"""ARS and ARSM: categorical draws coupled by swapping the noise of two categories."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Estimator, Objective
from estimators.errors import BadInput
from estimators.registry import register
from estimators.relaxed import hardened
from estimators.tools.noise import exponential
from estimators.tools.parameters import linear, logits, valued
from estimators.traits import Need, Traits


def swapped(
    phi: Float[Tensor, "*batch"], e: Float[Tensor, "n *batch"], swaps: Int[Tensor, "P C"], q: Distribution
) -> Float[Tensor, "P n ..."]:
    """Returns the draw argmin(log e − φ) after each swap of e's categories, `[P, n, *batch, *event]`.

    With e exponential this is a draw of q, and π = e / Σe is Dirichlet(1, …, 1), before and after any swap. All
    variables of z swap the same pair at once.
    """
    return hardened(phi.detach() - e.log()[..., swaps].movedim(-2, 0), q)


def swaps_with(j: int | Int[Tensor, "P 1"], c: Int[Tensor, "P 1"], C: int) -> Int[Tensor, "P C"]:
    """Returns the indices 0 … C−1 with c and j swapped, a row per swap.

    >>> swaps_with(0, torch.tensor([[0], [2]]), 3)
    tensor([[0, 1, 2],
            [2, 1, 0]])
    """
    i = torch.arange(C, device=c.device)
    return torch.where(i == c, j, torch.where(i == j, c, i))


@register("ars")
@dataclass(frozen=True)
class Ars(Estimator):
    """(f^{c↔j} − mean_m f^{m↔j})(1 − C π_j) for category c: augment-REINFORCE-swap with one reference j.

    π ~ Dirichlet(1), z = argmin(log π − l); f^{c↔j} is f at the draw after π_c and π_j are swapped. C evaluations per
    draw. Several variables all swap at once, each with its own π_j. Raises `BadInput` if `reference` is not a category.
    Paper: Yin, Yue, Zhou 2019 (ARS), arXiv:1905.01413.

    >>> Ars(reference=1)
    Ars(reference=1)
    """

    traits = Traits(unbiased=True, needs=frozenset({Need.CATEGORICAL}), paper="Yin, Yue, Zhou 2019")

    reference: int = 0

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        phi, C = logits(q), q.event_shape[-1]
        if not 0 <= self.reference < C:
            raise BadInput(f"ars: reference must be a category, 0 to {C - 1}, found {self.reference}")
        e = exponential(n, phi)
        every = torch.arange(C, device=phi.device).unsqueeze(-1)
        value = f.held(swapped(phi, e, swaps_with(self.reference, every, C), q), q)
        centred = (value - value.mean(0)).detach().movedim(0, -1)  # [n, *batch, C]
        weight = 1 - C * (e / e.sum(-1, keepdim=True))[..., self.reference, None]
        gradient = for_each_variable(centred, 1, q) * weight
        return valued(value.mean((0, 1)), linear(gradient.mean(0), phi, q))


@register("arsm")
@dataclass(frozen=True)
class Arsm(Estimator):
    """Σ_j (f^{c↔j} − mean_m f^{m↔j})(1/C − π_j): ARS averaged over all references, from C(C−1)/2 + 1 evaluations.

    Paper: Yin, Yue, Zhou 2019 (ARSM), arXiv:1905.01413.

    >>> from torch.distributions import OneHotCategorical
    >>> from estimators import Function
    >>> q = OneHotCategorical(logits=torch.zeros(4, requires_grad=True))
    >>> Arsm().surrogate(q, Function(lambda z: 3 * z.sum(-1)), 1)
    tensor(3., grad_fn=<AddBackward0>)
    """

    traits = Traits(unbiased=True, needs=frozenset({Need.CATEGORICAL}), paper="Yin, Yue, Zhou 2019")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        phi, C = logits(q), q.event_shape[-1]
        e = exponential(n, phi)
        c, j = torch.triu_indices(C, C, 1, device=phi.device)
        none = torch.zeros(1, 1, dtype=c.dtype, device=phi.device)
        pairs = swaps_with(torch.cat([j[:, None], none]), torch.cat([c[:, None], none]), C)
        value = f.held(swapped(phi, e, pairs, q), q)
        f_cj = value.detach()[table(c, j, C)]  # [C, C, n, *batch]
        centred = (f_cj - f_cj.mean(0)).movedim((0, 1), (-2, -1))
        weight = 1 / C - e / e.sum(-1, keepdim=True)
        gradient = (for_each_variable(centred, 2, q) @ weight.unsqueeze(-1)).squeeze(-1)
        return valued(value.mean((0, 1)), linear(gradient.mean(0), phi, q))


def table(c: Int[Tensor, " pairs"], j: Int[Tensor, " pairs"], C: int) -> Int[Tensor, "C C"]:
    """Returns the position of each (c, j) in the list of pairs; (c, c), no swap, is the last entry."""
    place = torch.arange(len(c), device=c.device)
    empty = torch.full((C, C), len(c), dtype=c.dtype, device=c.device)
    return empty.index_put((c, j), place).index_put((j, c), place)


def for_each_variable(x: Tensor, last: int, q: Distribution) -> Tensor:
    """Returns x `[n, *batch, …]` with an axis of size 1 for each of z's axes of variables, before its `last` axes."""
    at = x.dim() - last
    return x.reshape(*x.shape[:at], *(1 for _ in q.event_shape[:-1]), *x.shape[at:])
