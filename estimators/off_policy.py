"""The score function on draws of another distribution, reweighted by the density ratio."""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, OneHotCategorical

from estimators.core import Estimator, Objective
from estimators.errors import BadInput
from estimators.policy.limits import clipped_gain
from estimators.registry import register
from estimators.score_function import left_out
from estimators.tools.parameters import base, parameters, rebuild, sample
from estimators.traits import Need, Traits


def flattened(q: Distribution, width: float) -> Distribution:
    """Returns a proposal: q with its logits divided, or its scale multiplied, by `width`; detached.

    >>> from torch.distributions import Normal
    >>> flattened(Normal(0.0, 1.0), 2.0).scale
    tensor(2.)
    """
    values = {name: value.detach() for name, value in parameters(q).items()}
    if isinstance(base(q), Bernoulli | OneHotCategorical):
        return rebuild(q, {"logits": values["logits"] / width})
    return rebuild(q, {name: value * width if name.startswith("scale") else value for name, value in values.items()})


@dataclass(frozen=True)
class Reweighted(Estimator):
    """Draws of `flattened(q, width)`. Subclasses define how the ratio q/μ of each draw is differentiated.

    Raises `BadInput` if `width` ≤ 0.
    """

    width: float = 1.5

    def __post_init__(self) -> None:
        if self.width <= 0:
            raise BadInput(f"{type(self).__name__}: width must be positive, found {self.width}")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        proposal = flattened(q, self.width)
        z = sample(proposal, n)
        ratio = (q.log_prob(z) - proposal.log_prob(z)).exp()
        value = f.held(z, q)
        gain = self.gain(ratio, value.detach())
        return (ratio.detach() * value + gain - gain.detach()).mean(0)

    @abstractmethod
    def gain(self, ratio: Float[Tensor, "n *batch"], value: Float[Tensor, "n *batch"]) -> Float[Tensor, "n *batch"]:
        """Returns the function of the ratio whose gradient is the estimate."""


@register("off_policy")
@dataclass(frozen=True)
class OffPolicy(Reweighted):
    """(q(z)/μ(z)) f(z) ∇θ log q(z) with z ~ μ: the score function off-policy.

    μ is q flattened by `width`: logits divided, scale multiplied. The ratio has heavy tails for width < 1.
    Paper: Precup, Sutton, Singh 2000, ICML 2000; Jie, Abbeel 2010, NIPS 23, 1000–1008.
    Differs from the paper: a whole draw has one weight, while Precup et al. also weight decision by decision.

    >>> import torch
    >>> from torch.distributions import Normal
    >>> from estimators import Function
    >>> loc = torch.tensor(1.0, requires_grad=True)
    >>> _ = torch.manual_seed(0)
    >>> OffPolicy().surrogate(Normal(loc, 1.0), Function(torch.square), 100_000).backward()
    >>> abs(loc.grad.item() - 2) < 0.1
    True
    """

    traits = Traits(unbiased=True, needs=frozenset({Need.DENSITY, Need.PROPOSAL}), paper="Precup, Sutton, Singh 2000")

    def gain(self, ratio: Float[Tensor, "n *batch"], value: Float[Tensor, "n *batch"]) -> Float[Tensor, "n *batch"]:
        return ratio * value


@register("off_policy_clipped")
@dataclass(frozen=True)
class OffPolicyClipped(Reweighted):
    """∇θ min(r A, clip(r, 1−ε, 1+ε) A), r = q(z)/μ(z), z ~ μ, A = f(z) less a baseline: PPO's clipped objective.

    Biased: a draw whose ratio is already past the edge towards which A pushes it gives no gradient. The clipping
    assumes an f that is maximised; to minimise a loss, pass −loss and differentiate minus the surrogate. `baseline`:
    `leave_one_out`, the mean of f over the other draws of μ, or `none`, where A = f and a constant added to f changes
    what is clipped. Raises `BadInput` for any other `baseline`.
    Paper: Schulman, Wolski, Dhariwal, Radford, Klimov 2017 (PPO), arXiv:1707.06347, equation 7.
    Differs from the paper: the baseline is leave-one-out, not a learned value function, and μ is a flattened q, not an
    earlier policy.

    >>> import torch
    >>> r = torch.tensor([1.5, 1.5, 0.5, 0.5], requires_grad=True)
    >>> OffPolicyClipped(baseline="none").gain(r, torch.tensor([1.0, -1.0, 1.0, -1.0])).sum().backward()
    >>> r.grad
    tensor([ 0., -1.,  1.,  0.])
    """

    version: ClassVar[int] = 2

    clip: float = 0.2
    baseline: Literal["leave_one_out", "none"] = field(default="leave_one_out", metadata={"later": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.baseline not in ("leave_one_out", "none"):
            raise BadInput(f"off_policy_clipped: baseline must be 'leave_one_out' or 'none', found {self.baseline!r}")

    @property
    def traits(self) -> Traits:
        """The traits for this `baseline`."""
        alone = self.baseline == "none"
        needs = frozenset({Need.DENSITY, Need.PROPOSAL} | (set() if alone else {Need.INDEPENDENT_DRAWS}))
        return Traits(unbiased=False, needs=needs, min_samples=1 if alone else 2, paper="Schulman et al. 2017")

    def gain(self, ratio: Float[Tensor, "n *batch"], value: Float[Tensor, "n *batch"]) -> Float[Tensor, "n *batch"]:
        advantage = value if self.baseline == "none" else left_out(value)
        return clipped_gain(ratio, advantage, 1 - self.clip, 1 + self.clip)
