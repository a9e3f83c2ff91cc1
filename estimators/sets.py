"""Estimators for objectives of K draws at once: Z = (z_1, …, z_K), the draws independent, f(Z) one number.

∇θ E f = E[f(Z) Σ_k s_k + ∇θ f at fixed Z] with s_k = ∇θ log q(z_k), for any f. What multiplies s_k may be reduced by
anything that is independent of z_k: the value of another set, or of the set without z_k.
"""

from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Estimator, Objective, SetObjective
from estimators.errors import BadInput, nearest
from estimators.order_statistics import BASELINES, OrderStatistics, SetBaseline, subset_coefficients
from estimators.registry import register
from estimators.score_function import ScoreFunction, left_out, scored
from estimators.tools.parameters import sample
from estimators.traits import Need, Traits

NEEDS_OF_SETS = frozenset({Need.DENSITY, Need.SETS, Need.INDEPENDENT_DRAWS})


def set_of(f: Objective) -> SetObjective:
    """Returns f. Raises `TypeError` if f does not take several draws at once."""
    if not isinstance(f, SetObjective):
        raise TypeError(f"expected a SetObjective, found {type(f).__name__}")
    return f


class SetScore(ScoreFunction):
    """coefficient × Σ_k s_k + ∇θ f. Subclasses define the coefficient of each set; n counts sets."""

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        z = sample(q, n, set_of(f).draws)
        value = f.held(z, q)
        return scored(value, self.coefficient(value.detach()), q.log_prob(z).sum(1))


@register("set_reinforce")
@dataclass(frozen=True)
class SetReinforce(SetScore):
    """f(Z) Σ_k s_k + ∇θ f: REINFORCE on an objective of several draws.

    Paper: Williams 1992, Machine Learning 8, 229–256, theorem 1, for the product density of K draws.

    >>> import torch
    >>> from torch.distributions import Bernoulli
    >>> q = Bernoulli(logits=torch.zeros(3))
    >>> SetReinforce().surrogate(q, OrderStatistics.maximum(lambda z: 0 * z + 2, draws=4), n=5)
    tensor([2., 2., 2.])
    """

    traits = Traits(unbiased=True, needs=NEEDS_OF_SETS, paper="Williams 1992")

    def coefficient(self, value: Float[Tensor, "n *batch"]) -> Float[Tensor, "n *batch"]:
        return value


@register("set_rloo")
@dataclass(frozen=True)
class SetLeaveOneOut(SetScore):
    """(f(Z_m) − the mean of f over the other sets) Σ_k s_k + ∇θ f, the mean over n ≥ 2 sets Z_m.

    Paper: Kool et al. 2019 (Buy 4 REINFORCE samples), OpenReview r1lgTGL5DE, with a set of K draws as the sample.

    >>> import torch
    >>> from torch.distributions import Bernoulli
    >>> logits = torch.zeros(3, requires_grad=True)
    >>> f = OrderStatistics.maximum(lambda z: 0 * z + 2, draws=4)
    >>> SetLeaveOneOut().surrogate(Bernoulli(logits=logits), f, n=5).sum().backward()
    >>> logits.grad
    tensor([0., 0., 0.])
    """

    traits = Traits(unbiased=True, needs=NEEDS_OF_SETS, min_samples=2, paper="Kool et al. 2019")

    def coefficient(self, value: Float[Tensor, "n *batch"]) -> Float[Tensor, "n *batch"]:
        return left_out(value)


@register("subset_score")
@dataclass(frozen=True)
class SubsetScore(Estimator):
    """Σ_k w_k s_k, w_k the mean over all sets of K among the nK draws of (f(S) − the baseline of k), for sets with k.

    Every draw serves in many sets, at no more evaluations than n sets take. `baseline`: "none"; "smaller", f of the
    set's other K − 1 draws; "others" (n ≥ 2), the mean over the sets without k. For the maximum these are the plain
    form of max@K and its two leave-one-out forms. Raises `BadInput` for an unknown `baseline`.
    Paper: Walder, Karkhanis 2025 (max@K), arXiv:2505.15201; Chen et al. 2021 (the value of pass@K), arXiv:2107.03374.
    Differs from the paper: any weights of the sorted rewards, such as those of a conditional value at risk.

    >>> import torch
    >>> from torch.distributions import Bernoulli
    >>> q = Bernoulli(logits=torch.zeros(3))
    >>> SubsetScore().surrogate(q, OrderStatistics.maximum(lambda z: 0 * z + 2, draws=4), n=1)
    tensor([2., 2., 2.])
    """

    baseline: SetBaseline = "smaller"

    def __post_init__(self) -> None:
        if self.baseline not in BASELINES:
            raise BadInput(f"subset_score: there is no baseline {self.baseline!r}; {nearest(self.baseline, BASELINES)}")

    @cached_property
    def traits(self) -> Traits:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The traits for this baseline."""
        needs = {Need.DENSITY, Need.ORDER_STATISTICS, Need.INDEPENDENT_DRAWS, Need.DETERMINISTIC}
        fewest = 2 if self.baseline == "others" else 1
        return Traits(unbiased=True, needs=frozenset(needs), min_samples=fewest, paper="Walder, Karkhanis 2025")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        if not isinstance(f, OrderStatistics):
            raise TypeError(f"expected OrderStatistics, found {type(f).__name__}")
        z = sample(q, n * f.draws)
        w, value = subset_coefficients(f.rewards(z, q), f.weights, self.baseline)
        log_q = q.log_prob(z)
        return value + (w * (log_q - log_q.detach())).sum(0)


@register("set_pathwise")
@dataclass(frozen=True)
class SetPathwise(Estimator):
    """∇θ f(g(ε_1, θ), …, g(ε_K, θ)): the pathwise gradient of an objective of several draws.

    Sorted rewards are continuous in z where the reward is, so the largest reward's own gradient is the maximum's.
    Paper: Kingma, Welling 2014, arXiv:1312.6114; Rezende, Mohamed, Wierstra 2014, arXiv:1401.4082.

    >>> import torch
    >>> from torch.distributions import Normal
    >>> loc = torch.tensor(0.5, requires_grad=True)
    >>> f = OrderStatistics.maximum(lambda z: 3 * z, draws=4, differentiable=True)
    >>> SetPathwise().surrogate(Normal(loc, 1.0), f, n=2).backward()
    >>> loc.grad
    tensor(3.)
    """

    traits = Traits(
        unbiased=True,
        needs=frozenset({Need.REPARAMETERISED, Need.DIFFERENTIABLE, Need.SETS, Need.INDEPENDENT_DRAWS}),
        paper="Kingma, Welling 2014",
    )

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        return f(q.rsample((n, set_of(f).draws)), q).mean(0)
