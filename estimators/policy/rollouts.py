"""What a trainer holds after generation: log-probabilities, mask and rewards, with prompts and groups as axes."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from estimators.errors import BadInput
from estimators.tools.calls import as_real

Tokens = Float[Tensor, "*replicates B K T"]
"""A number for every token: B prompts, K rollouts of each, T tokens at most."""
Sequences = Float[Tensor, "*replicates B K"]
"""A number for every rollout."""
Prompts = Float[Tensor, "*replicates B"]
"""A number for every prompt."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Rollouts:
    """Groups of K rollouts for each of B prompts. Axes before `B` are replicates, which share nothing.

    Values where the mask is 0 are ignored, whatever they are. Tensors besides `log_probs` need no gradient.

    Args:
        log_probs: log π(y_t | y_<t, x), with gradient, `[*replicates, B, K, T]`; it is 0 where the mask is 0.
        mask: 1 up to and with the end token, 0 after it, `[*replicates, B, K, T]`; numbers or booleans.
        rewards: R, `[*replicates, B, K]`; received at the last token. That of a rollout without tokens, such as one cut
            off and masked, counts in the baseline and the scale of the others.
        behaviour: log μ, of the policy that drew the rollouts. Default: `proximal`.
        proximal: log π_prox, of the denominator of the clipped ratio. Default: `behaviour`, or else the values of
            `log_probs`, which is right at the first step on fresh rollouts.
        reference: log π_ref, for a KL term.
        step_rewards: rewards received at each token in addition to R, `[*replicates, B, K, T]`. Default: none.
        greedy_rewards: the reward of each prompt's greedy rollout, `[*replicates, B]`, for ReMax.
        values: a critic's V(x, y_<t), the expected sum of rewards from token t on, `[*replicates, B, K, T]`.
        next_log_probs: log π of every next token after each prefix, with gradient, `[*replicates, B, K, T, V]`, for the
            KL over the whole vocabulary.
        next_reference: the same of the reference policy.

    Raises:
        BadInput: a tensor has another shape than it should have, or there are no rollouts.
    """

    log_probs: Tensor
    mask: Tensor
    rewards: Tensor
    behaviour: Tensor | None = None
    proximal: Tensor | None = None
    reference: Tensor | None = None
    step_rewards: Tensor | None = None
    greedy_rewards: Tensor | None = None
    values: Tensor | None = None
    next_log_probs: Tensor | None = None
    next_reference: Tensor | None = None

    def __post_init__(self) -> None:
        shape = self.log_probs.shape
        if len(shape) < 3:
            raise BadInput(
                f"log_probs of rollouts must be [*replicates, B, K, T] (prompts, rollouts of each, tokens), found the "
                f"shape {list(shape)}; reshape a flat batch [B·K, T] to [B, K, T]"
            )
        if 0 in shape[-3:-1]:
            raise BadInput(
                f"log_probs of rollouts has the shape {list(shape)}; a batch has at least 1 prompt, with 1 rollout"
            )
        for name in ("mask", "behaviour", "proximal", "reference", "step_rewards", "values"):
            _require_shape(name, getattr(self, name), shape)
        _require_shape("rewards", self.rewards, shape[:-1])
        _require_shape("greedy_rewards", self.greedy_rewards, shape[:-2])
        for name in ("next_log_probs", "next_reference"):
            given = getattr(self, name)
            _require_shape(name, given if given is None else given[..., 0], shape, "V")
        object.__setattr__(self, "mask", self.mask.to(self.log_probs.dtype))
        object.__setattr__(self, "rewards", as_real(self.rewards, self.log_probs.dtype))
        for name in ("log_probs", "behaviour", "proximal", "reference", "step_rewards", "values"):
            given = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, torch.where(self.mask > 0, given, 0))

    @property
    def lengths(self) -> Sequences:
        """Number of tokens of each rollout, at least 1."""
        return self.mask.sum(-1).clamp_min(1)

    @property
    def old(self) -> Tokens:
        """log π_prox with its default, detached."""
        given = self.behaviour if self.proximal is None else self.proximal
        return (self.log_probs if given is None else given).detach()

    @property
    def drawn_by(self) -> Tokens:
        """log μ with its default, detached."""
        return self.old if self.behaviour is None else self.behaviour.detach()

    @property
    def total_rewards(self) -> Sequences:
        """R plus the rewards of all tokens, detached."""
        steps = 0 if self.step_rewards is None else self.step_rewards.sum(-1)
        return (self.rewards + steps).detach()

    @property
    def rewards_without_tokens(self) -> Sequences:
        """R of the rollouts whose mask is 0 everywhere, detached; 0 for the others."""
        return torch.where(self.mask.sum(-1) == 0, self.rewards.detach(), 0)

    def required(self, name: str, why: str) -> Tensor:
        """Returns the optional tensor `name`. Raises `BadInput` if these rollouts do not have it."""
        given = getattr(self, name)
        if given is None:
            raise BadInput(f"{why} needs rollouts with {name}: Rollouts({name}=…)")
        return given


def _require_shape(name: str, given: Tensor | None, shape: torch.Size, more: str = "") -> None:
    if given is not None and given.shape != shape:
        axes = [*map(str, shape), *([more] if more else [])]
        found = [*map(str, given.shape), *([more] if more else [])]
        raise BadInput(f"{name} of rollouts has shape [{', '.join(found)}], [{', '.join(axes)}] would be right")


def per_token(number: Sequences, like: Tokens) -> Tokens:
    """Returns a number of each rollout at each of its tokens."""
    return number.unsqueeze(-1).expand_as(like)
