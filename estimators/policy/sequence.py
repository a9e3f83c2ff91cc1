"""The contract of a sequence policy, by which losses over rollouts read a torch distribution."""

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Objective
from estimators.tools.parameters import base
from estimators.traits import Need


@runtime_checkable
class SequencePolicy(Protocol):
    """A distribution over sequences of up to T tokens. z is `[*sample, *batch, *event]`.

    Two methods are required; the attributes below are optional.

    - `behaviour`: the distribution from which rollouts are drawn, μ. Default: q itself (on-policy).
    - `proximal`: the policy of the clipped ratio's denominator, π_prox. Default: the behaviour.
    - `reference`: the policy of the KL term, π_ref. Default: none; a loss with a KL term then does not fit.
    - `prompt_axes`: how many of the last batch axes are prompts (0 or 1); all axes before them are replicates, which
      share nothing. Default: 0.
    - `next_log_probs(z)`, `[*sample, *batch, T, V]`: log π of every next token after each prefix of z; it is needed for
      the KL over the whole vocabulary alone, of q and of `reference`.

    `behaviour`, `proximal` and `reference` are sequence policies with q's batch shape (or one that broadcasts to it),
    whose parameters have no gradient.
    """

    def log_prob_steps(self, z: Tensor) -> Tensor:
        """Returns log π(y_t | y_<t, prompt) of every token, `[*sample, *batch, T]`, 0 after the end token."""
        ...

    def mask(self, z: Tensor) -> Tensor:
        """Returns 1 up to and with the end token, else 0, `[*sample, *batch, T]`, in the parameters' dtype."""
        ...


def _offers_steps(offer: Any) -> bool:
    return isinstance(base(offer.q), SequencePolicy)


SEQUENCE = Need(
    "SEQUENCE", "a sequence policy: a distribution with log_prob_steps(z) and mask(z) of every token", met=_offers_steps
)


def beside(q: Distribution, name: str) -> Any:
    """Returns q's `behaviour`, `proximal` or `reference`, with the default of each; None for no reference."""
    found = getattr(base(q), name, None)
    if found is not None or name == "reference":
        return found
    return beside(q, "behaviour") if name == "proximal" else q


class Regularised(Objective):
    """R(z) − β log π(z)/π_ref(z): the reward less a penalty on the distance from a reference policy.

    Its gradient is that of E R − β KL(π‖π_ref). A loss with a KL term reads `rewards` and `beta`, and makes the penalty
    itself; every other estimator takes the penalty as a part of f.

    Args:
        reward: z ↦ R, `[*sample, *batch]`.
        beta: β.
    """

    differentiable = twice_differentiable = relaxable = False

    def __init__(self, reward: Objective, beta: float) -> None:
        self.reward, self.beta = reward, beta

    def rewards(self, z: Tensor, q: Distribution) -> Tensor:
        """Returns R without the penalty."""
        return self.reward(z, q)

    def penalised(self, z: Tensor, q: Distribution, log_q: Float[Tensor, "*batch"]) -> Tensor:
        """Returns R − β (log_q − log π_ref(z))."""
        return self.reward(z, q) - self.beta * (log_q - beside(q, "reference").log_prob(z))

    def __call__(self, z: Tensor, q: Distribution) -> Tensor:
        return self.penalised(z, q, q.log_prob(z))

    def held(self, z: Tensor, q: Distribution) -> Tensor:
        return self.penalised(z, q, q.log_prob(z).detach())

    def hold(self, value: Tensor, z: Tensor, q: Distribution) -> Tensor:
        log_q = q.log_prob(z)
        return value + self.beta * (log_q - log_q.detach())
