"""The variables that a distribution draws in turn: their log-densities, which follows which, their other values.

Independent coordinates are the simplest case. A sequence, a chain or a graph, q(z) = Π_i q_i(z_i | z of earlier steps),
has its variables along the first axis of an event and offers

- `log_prob_steps(z)`, `[*sample, *batch, T]`: log q_i of every step, which sum to `log_prob(z)`. A step that was not
  drawn, such as one after the end of a sequence, has 0.
- `follows` (optional), `[T, T]`: 1 where step i (row) comes after step j (column), so that the law of z_i depends on
  z_j, directly or through steps between them. Default: every step follows all earlier ones.
- `other_values(z)` (optional), `[C − 1, *z.shape]`: z with all variables at their second value, at their third, …,
  where C values are possible for each. Default: known for bits with the event `[T]` and one-hot rows `[T, C]`, if
  `support` says so.
- `log_environment(z)` (optional), `[*sample, *batch]`: the logarithm of the part of q that does not depend on θ and
  that `log_prob` leaves out, such as the transitions of a Markov decision process.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Size, Tensor
from torch.distributions import Bernoulli, Distribution, OneHotCategorical, constraints

from estimators.errors import BadInput
from estimators.tools.parameters import base


def own_steps(q: Distribution) -> bool:
    """Returns whether q's class declares its steps, and is not one of many independent copies."""
    inner = base(q)
    return hasattr(inner, "log_prob_steps") and inner.event_shape == q.event_shape and bool(q.event_shape)


def variables(q: Distribution) -> Size:
    """Returns the axes of an event along which the variables lie: `[T]` for steps, any number for coordinates.

    >>> from torch.distributions import Independent, Normal
    >>> variables(Independent(Normal(torch.zeros(2, 3), 1.0), 2))
    torch.Size([2, 3])
    """
    if own_steps(q):
        return q.event_shape[:1]
    return q.event_shape[: len(q.event_shape) - len(base(q).event_shape)]


def log_prob_steps(q: Distribution, z: Float[Tensor, "..."]) -> Float[Tensor, "*batch T"]:
    """Returns log q_i(z_i | earlier steps) of every variable, `[*sample, *batch, T]`; they sum to log q(z).

    >>> from torch.distributions import Independent
    >>> log_prob_steps(Independent(Bernoulli(logits=torch.zeros(2)), 1), torch.ones(2)).exp()
    tensor([0.5000, 0.5000])
    """
    inner: Any = base(q)
    if own_steps(q):
        return inner.log_prob_steps(z)
    log_q, axes = inner.log_prob(z), len(variables(q))
    return log_q.flatten(-axes) if axes else log_q.unsqueeze(-1)


def follows(q: Distribution, like: Tensor) -> Float[Tensor, "T T"]:
    """Returns 1 where a variable (row) comes after another (column), in `like`'s dtype and on its device."""
    count = variables(q).numel()
    said = getattr(base(q), "follows", None) if own_steps(q) else like.new_zeros(count, count)
    return like.new_ones(count, count).tril(-1) if said is None else said.to(like)


def downstream_of(q: Distribution, depends: Tensor, like: Tensor) -> Float[Tensor, "terms T"]:
    """Returns 1 where a term depends on a variable, or on one that follows it.

    Given all that comes before z_i or does not follow it, the score of step i has mean 0, so its product with any other
    term has mean 0 too.

    Args:
        q: the distribution.
        depends: on which variables each term depends, `[terms, T]`.
        like: a tensor with the dtype and the device of the result.

    Raises:
        BadInput: `depends` has another number of variables than q.
    """
    count = variables(q).numel()
    if depends.dim() != 2 or depends.shape[1] != count:
        raise BadInput(
            f"the terms' depends has shape {list(depends.shape)}: [terms, {count}] would be right, because q has "
            f"{count} variables"
        )
    here = (depends != 0).to(like)
    if own_steps(q) and getattr(base(q), "follows", None) is None:
        return here.flip(-1).cummax(-1).values.flip(-1)
    return here + (1 - here) * ((here @ follows(q, like)) > 0).to(like)


def has_other_values(q: Distribution) -> bool:
    """Returns whether the other values of q's variables are known."""
    inner = base(q)
    if not own_steps(q):
        return isinstance(inner, Bernoulli | OneHotCategorical)
    return hasattr(inner, "other_values") or _said_support(inner) is not None


def other_values(q: Distribution, z: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Returns z with all variables at their other values, one after another, `[C − 1, *z.shape]`.

    >>> q = OneHotCategorical(logits=torch.zeros(3))
    >>> other_values(q, torch.tensor([1.0, 0.0, 0.0]))
    tensor([[0., 1., 0.],
            [0., 0., 1.]])
    """
    inner: Any = base(q)
    if hasattr(inner, "other_values"):
        return inner.other_values(z)
    if isinstance(inner, OneHotCategorical) or _said_support(inner) is constraints.one_hot:
        return torch.stack([z.roll(turn, -1) for turn in range(1, z.shape[-1])])
    return (1 - z).unsqueeze(0)


def _said_support(inner: Distribution) -> Any:
    """Returns boolean or one_hot if the declared support makes every step such a variable, else None."""
    try:
        support: Any = inner.support
    except NotImplementedError:
        return None
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    axes = {constraints.boolean: 1, constraints.one_hot: 2}
    return support if axes.get(support) == len(inner.event_shape) else None


def log_law(q: Distribution, z: Float[Tensor, "..."], steps: Float[Tensor, "*batch T"]) -> Float[Tensor, "*batch"]:
    """Returns the log-probability of z with the part that does not depend on θ, from `steps` = log_prob_steps(q, z)."""
    inner: Any = base(q)
    rest = inner.log_environment(z) if hasattr(inner, "log_environment") else 0.0
    return steps.sum(-1) + rest


def replaced(q: Distribution, rows: Bool[Tensor, "part T"], z: Tensor, new: Tensor) -> Tensor:
    """Returns z `[*sample, *batch, *event]` with the marked variables taken from `new` `[C, *z.shape]`.

    Args:
        q: the distribution.
        rows: which variables are replaced in each copy.
        z: draws.
        new: C versions of the draws.

    Returns:
        `[C, part, *sample, *batch, *event]`.
    """
    own = q.event_shape[len(variables(q)) :]
    leading = z.dim() - len(q.event_shape)
    mask = rows.reshape(len(rows), *(1 for _ in range(leading)), *variables(q), *(1 for _ in own))
    return torch.where(mask, new.unsqueeze(1), z)
