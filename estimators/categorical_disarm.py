"""DisARM for one-hot variables: the category is reached by a walk down a binary tree, with a bit per node."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.baselines import spread
from estimators.core import Estimator, Objective
from estimators.registry import register
from estimators.tools.parameters import linear, logits, valued
from estimators.traits import Need, Traits

Shape = Literal["stick", "balanced"]


def walks(C: int, shape: Shape, like: Tensor) -> Float[Tensor, "nodes C"]:
    """Returns the turns of the walk to category c at each of the C − 1 nodes: 1 left, −1 right, 0 if not on the walk.

    Node k = 1 … C−1 separates categories k − 1 and k. On the stick its left side is category k − 1 alone; in the
    balanced tree the node covers k − w … min(k + w, C) − 1, with w the lowest set bit of k.

    >>> walks(3, "stick", torch.zeros(()))
    tensor([[ 1., -1., -1.],
            [ 0.,  1., -1.]])
    """
    c, k = torch.arange(C, device=like.device), torch.arange(1, C, device=like.device).unsqueeze(-1)
    width = torch.ones_like(k) if shape == "stick" else k & -k
    reach = C if shape == "stick" else k + width
    left, right = (c >= k - width) & (c < k), (c >= k) & (c < reach)
    return left.to(like.dtype) - right.to(like.dtype)


def node_logits(phi: Float[Tensor, "*batch"], walk: Float[Tensor, "nodes C"]) -> Float[Tensor, "..."]:
    """Returns the logit of turning left at each node, differentiable: `[…, C]` → `[…, C − 1]`."""
    below = phi.unsqueeze(-2).expand(*phi.shape[:-1], *walk.shape)
    never = torch.full_like(below, -torch.inf)
    left, right = (torch.where(walk == way, below, never).logsumexp(-1) for way in (1, -1))
    return left - right


class CategoricalDisArm(Estimator):
    """½ (f − f̃) times, at each node: (b − b̃) σ(|φ|) if both walks pass it, b − t or t − b̃ if one does.

    The nodes' bits b, b̃ are pairs as in DisARM; z and z̃ are the categories at which their walks end. φ are the nodes'
    logits; autograd propagates their gradient to the logits of the categories. n draws are n/2 pairs.
    """

    shape: ClassVar[Shape]

    traits = Traits(
        unbiased=True, needs=frozenset({Need.CATEGORICAL}), min_samples=2, samples_step=2, paper="Dong et al. 2021"
    )

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        walk = walks(q.event_shape[-1], self.shape, logits(q))
        phi = node_logits(logits(q), walk)
        t = phi.detach().sigmoid()
        u = torch.rand((n // 2, *t.shape), dtype=t.dtype, device=t.device)
        b = torch.stack([u < t, 1 - u <= t]).to(t.dtype)  # u may be 0: at t = 1 both turn left
        z = reached(b, walk)
        value = f.held(z.flatten(0, 1), q)
        f_z, f_tilde = value.detach().chunk(2)
        (used, used_tilde), (b, b_tilde) = z @ walk.abs().mT, b
        factor = used * used_tilde * (b - b_tilde) * phi.detach().abs().sigmoid()
        factor = factor + used * (1 - used_tilde) * (b - t) - (1 - used) * used_tilde * (b_tilde - t)
        gradient = spread(f_z - f_tilde, factor) / 2 * factor
        return valued(value.mean(0), linear(gradient.mean(0), phi, q))


def reached(b: Float[Tensor, "..."], walk: Float[Tensor, "nodes C"]) -> Float[Tensor, "..."]:
    """Returns the one-hot category whose turns all agree with the nodes' bits: `[…, C − 1]` → `[…, C]`."""
    agreeing = (2 * b - 1) @ walk
    return (agreeing > walk.abs().sum(0) - 0.5).to(b.dtype)


@register("stick_breaking_disarm")
@dataclass(frozen=True)
class StickBreakingDisArm(CategoricalDisArm):
    """DisARM on the stick-breaking bits of a category: bit k decides "k", given no earlier one. Their order matters.

    ½ (f − f̃) times, at each bit: (b − b̃) σ(|φ|) if both draws reach it, b − t or t − b̃ if one does.
    Paper: Dong, Mnih, Tucker 2021 (stick-breaking coupling), arXiv:2106.08056.

    >>> from torch.distributions import OneHotCategorical
    >>> from estimators import Function
    >>> q = OneHotCategorical(logits=torch.zeros(4))
    >>> StickBreakingDisArm().surrogate(q, Function(lambda z: 3 * z.sum(-1)), 2)
    tensor(3.)
    """

    shape: ClassVar[Shape] = "stick"


@register("tree_disarm")
@dataclass(frozen=True)
class TreeDisArm(CategoricalDisArm):
    """DisARM on the bits of a balanced binary tree of categories: a draw uses only log₂ C bits.

    ½ (f − f̃) times, at each node: (b − b̃) σ(|φ|) if both walks pass it, b − t or t − b̃ if one does.
    Paper: Dong, Mnih, Tucker 2021 (tree-structured coupling), arXiv:2106.08056.

    >>> from torch.distributions import OneHotCategorical
    >>> from estimators import Function
    >>> q = OneHotCategorical(logits=torch.zeros(4))
    >>> TreeDisArm().surrogate(q, Function(lambda z: 3 * z.sum(-1)), 2)
    tensor(3.)
    """

    shape: ClassVar[Shape] = "balanced"
