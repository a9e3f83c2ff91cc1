"""Sums over one variable of a chain or a graph exactly, given all others."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Estimator, Objective, Terms
from estimators.registry import register
from estimators.score_function import left_out
from estimators.tools.coordinates import chunk
from estimators.tools.parameters import sample, valued
from estimators.tools.steps import downstream_of, log_law, log_prob_steps, other_values, replaced, variables
from estimators.traits import Need, Traits


@register("structured_local_expectation")
@dataclass(frozen=True)
class StructuredLocalExpectation(Estimator):
    """Σ_i Σ_c q(z_i = c | z_−i) cost_i(z_−i, c) ∇θ log q_i(c | earlier steps), the mean over n draws.

    The score of each variable times its cost is summed exactly over the variable's values, given all others: the
    conditional expectation of `reinforce` (of `downstream`, where f is given as terms). T variables with C values cost
    1 + T(C − 1) evaluations of f per draw. For independent bits it is `local_expectation`.

    With `leave_one_out` (n ≥ 2), the mean cost of the variable in the other draws is subtracted: given the variables
    that follow it, the score of a variable does not have mean 0, so the level of its cost is noise.
    Paper: Titsias, Lázaro-Gredilla 2015, NIPS 2015; preprint arXiv:1503.01494, section 3, with the conditional of a
    variable given its Markov blanket.
    Differs from the paper: terms that are not downstream of a variable are left out of its cost; the baseline.

    >>> from torch.distributions import Bernoulli, Independent
    >>> from estimators import Function
    >>> logits = torch.zeros(2, requires_grad=True)
    >>> q = Independent(Bernoulli(logits=logits), 1)
    >>> f = Function(lambda b: b[..., 0] + 3 * b[..., 1])
    >>> StructuredLocalExpectation().surrogate(q, f, 1).backward()
    >>> logits.grad  # exact where f is a sum over bits
    tensor([0.2500, 0.7500])
    """

    leave_one_out: bool = False

    @cached_property
    def traits(self) -> Traits:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The traits for this setting."""
        needs = {Need.DENSITY, Need.STEPS, Need.OTHER_VALUES}
        return Traits(
            unbiased=True,
            needs=frozenset(needs | {Need.INDEPENDENT_DRAWS} if self.leave_one_out else needs),
            min_samples=2 if self.leave_one_out else 1,
            paper="Titsias, Lázaro-Gredilla 2015",
        )

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        z = sample(q, n)
        value, cost = costs(f, q, z)
        baseline = cost - left_out(cost) if self.leave_one_out else 0
        here = log_prob_steps(q, z)
        total = torch.zeros_like(value[0])
        for rows, x in with_other_values(q, z):
            there = log_prob_steps(q, x)
            law = torch.cat([once_per_row(rows, log_law(q, z, here)), log_law(q, x, there)])
            own = torch.cat([at(rows, once_per_row(rows, here)), at(rows, there)])
            gain = torch.cat([at(rows, once_per_row(rows, cost - baseline)), at(rows, costs(f, q, x)[1] - baseline)])
            weight = law.detach().softmax(0)  # q(z_i = c | all others)
            coefficient = torch.where(weight > 0, weight * gain.detach(), 0)
            total = total + (coefficient * torch.where(weight > 0, own, 0)).sum((0, 1)).mean(0)
        return valued(value.mean(0), total)


def costs(f: Objective, q: Distribution, z: Float[Tensor, "..."]) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
    """Returns f.held(z, q) `[*sample, *batch]` and the cost of each variable `[*sample, *batch, T]`.

    The cost is the sum of the terms downstream of the variable, or all of f where f is not given as terms.
    """
    if isinstance(f, Terms):
        terms = f.each_held(z, q)
        return terms.sum(-1), terms @ downstream_of(q, f.dependence(q), terms)
    value = f.held(z, q)
    return value, value.unsqueeze(-1).expand(*value.shape, variables(q).numel())


def with_other_values(q: Distribution, z: Float[Tensor, "..."]) -> Iterator[tuple[Bool[Tensor, "part T"], Tensor]]:
    """Yields some variables, as one-hot rows, and z `[C − 1, part, *z.shape]` with each at its other values.

    >>> from torch.distributions import Bernoulli, Independent
    >>> q = Independent(Bernoulli(logits=torch.zeros(2)), 1)
    >>> next(with_other_values(q, torch.tensor([1.0, 0.0])))[1]
    tensor([[[0., 0.],
             [1., 1.]]])
    """
    new = other_values(q, z)
    for rows in torch.eye(variables(q).numel(), dtype=torch.bool, device=z.device).split(chunk(new.numel())):
        yield rows, replaced(q, rows, z, new)


def at(rows: Bool[Tensor, "part T"], value: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Returns the entry of each row's variable: `[C, part, *sample, *batch, T]` → `[C, part, *sample, *batch]`."""
    mask = rows.reshape(1, len(rows), *(1 for _ in value.shape[2:-1]), -1)
    return torch.where(mask, value, 0).sum(-1)


def once_per_row(rows: Bool[Tensor, "part T"], value: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Returns a value once per row: `[…]` → `[1, part, …]`."""
    return value.expand(1, len(rows), *value.shape)
