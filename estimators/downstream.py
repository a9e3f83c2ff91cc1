"""Rao-Blackwellisation by structure: each variable's score multiplies only the costs that depend on it."""

from dataclasses import dataclass, field
from functools import cached_property

from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Estimator, Objective, Terms
from estimators.registry import register
from estimators.score_function import left_out
from estimators.tools.parameters import sample
from estimators.tools.steps import downstream_of, log_prob_steps
from estimators.traits import Need, Traits


@register("downstream")
@dataclass(frozen=True)
class Downstream(Estimator):
    """Σ_i ∇θ log q_i(z_i | earlier steps) Σ_{t downstream of i} f_t(z): other terms only add noise and are left out.

    A term is downstream of variable i if it depends on z_i or on a variable that follows it. For independent variables
    these are the terms that depend on z_i, for a policy the reward to go. With `leave_one_out`, each variable's cost is
    compared with the mean of its costs in the other draws; n ≥ 2.
    Paper: Schulman, Heess, Weber, Abbeel 2015 (stochastic computation graphs), arXiv:1506.05254, theorem 1; Ranganath,
    Gerrish, Blei 2014, arXiv:1401.0118, section 3.1; for policies Sutton, McAllester, Singh, Mansour 2000 (NIPS 12).
    Differs from the paper: the leave-one-out baseline of each variable.

    >>> import torch
    >>> from torch.distributions import Independent, Normal
    >>> loc = torch.zeros(2, requires_grad=True)
    >>> q = Independent(Normal(loc, 1.0), 1)
    >>> f = Terms(lambda z: z * torch.tensor([0.0, 1e6]), torch.eye(2))
    >>> Downstream().surrogate(q, f, 1).backward()
    >>> float(loc.grad[0])
    0.0
    """

    leave_one_out: bool = field(default=False, metadata={"later": True})

    @cached_property
    def traits(self) -> Traits:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The traits for this setting."""
        needs = {Need.DENSITY, Need.STEPS, Need.TERMS}
        return Traits(
            unbiased=True,
            needs=frozenset(needs | {Need.INDEPENDENT_DRAWS} if self.leave_one_out else needs),
            min_samples=2 if self.leave_one_out else 1,
            paper="Schulman et al. 2015",
        )

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        if not isinstance(f, Terms):
            raise TypeError(f"downstream needs Terms, found {type(f).__name__}")
        z = sample(q, n)
        value, log_q = f.each_held(z, q), log_prob_steps(q, z)
        cost = value.detach() @ downstream_of(q, f.dependence(q), value)  # [n, *batch, variables]
        if self.leave_one_out:
            cost = left_out(cost)
        return (value.sum(-1) + (cost * (log_q - log_q.detach())).sum(-1)).mean(0)
