"""Language-model policies of up to a thousand tokens whose next-token logits depend on the state of a counter."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.distributions import Distribution

from bench.distributions.base import Family, distributions
from bench.distributions.behaviours import BehaviourSettings, Policies
from bench.distributions.prefix_policy import MOST_LISTED, PrefixPolicy, _inverse
from bench.distributions.prefix_tree import starts
from bench.numerics.tensors import Tensors
from estimators.errors import BadInput
from estimators.traits import Need


class AutomatonPolicy(PrefixPolicy):
    """A `PrefixPolicy` in which all prefixes that lead to one state share a row of logits.

    The automaton counts: token v < V − 1 moves state s to (s + v + 1) modulo S, token V − 1 ends. An answer is accepted
    if it ends in state 0. Prompt b starts in state b modulo S.

    Args:
        logits: next-token logits, `[*batch, S, V]`; the last batch axis is that of prompts.
        T: the largest number of tokens.
        behaviour_logits: those of the policy to draw from, a constant; −∞ where a token is never drawn.
        reference_logits: those of the reference policy, a constant.
        drop: whether the trainer leaves out the next tokens that the behaviour never draws.
        proximal_logits: those of the policy of a clipped ratio's denominator, a constant. Default: the behaviour.
    """

    def __init__(
        self,
        logits: Tensor,
        T: int,
        behaviour_logits: Tensor | None = None,
        reference_logits: Tensor | None = None,
        drop: bool = False,
        *,
        proximal_logits: Tensor | None = None,
    ) -> None:
        self.logits, self.prompt_axes = logits, 1
        self.states = logits.shape[-2]
        given = {"behaviour": behaviour_logits, "proximal": proximal_logits, "reference": reference_logits}
        for name, table in given.items():
            setattr(self, name, None if table is None else AutomatonPolicy(table, T))
        if drop and behaviour_logits is not None:
            self._truncate()
            self.offers_not = PrefixPolicy.offers_not | {Need.STEPS}
        shape = torch.Size([T, logits.shape[-1]])
        Distribution.__init__(self, logits.shape[:-2], shape, validate_args=False)

    @property
    def T(self) -> int:  # noqa: N802
        """The largest number of tokens."""
        return self.event_shape[0]

    @property
    def drop(self) -> bool:
        """Whether the trainer leaves out the next tokens that the behaviour never draws."""
        return self.dropped is not None

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        T, V = self.event_shape
        return T < 64 and starts(T, V)[-1] <= MOST_LISTED

    @property
    def first(self) -> Int[Tensor, " prompts"]:
        """The state in which each prompt starts."""
        return torch.arange(self.batch_shape[-1], device=self.logits.device) % self.states

    def moves(self) -> Float[Tensor, "S tokens S"]:
        """Returns 1 where a token moves a state to another, else 0."""
        state = torch.arange(self.states, device=self.logits.device)
        token = torch.arange(1, self.event_shape[-1], device=self.logits.device)
        return ((state[:, None, None] + token[:, None]) % self.states == state).to(self.logits.dtype)

    def prefix(self, z: Tensor) -> Int[Tensor, "*batch T"]:
        """Returns the state before each token; 0 after the end."""
        step = z @ torch.arange(1, z.shape[-1] + 1, dtype=z.dtype, device=z.device)
        count = self.first.unsqueeze(-1) + step.cumsum(-1) - step
        state = count - self.states * ((count + 0.5) / self.states).floor()  # far quicker than an integer's remainder
        return torch.where(self.mask(z) > 0, state, 0).long()

    def state(self, z: Tensor) -> Int[Tensor, "*batch T"]:
        """Returns what a critic knows besides the number of tokens left: the state before each token."""
        return self.prefix(z)

    def next_log_probs(self, z: Tensor) -> Tensor:
        table = self.logits if self.dropped is None else self.logits.masked_fill(self.dropped, -torch.inf)
        return self.rows(table.log_softmax(-1), self.prefix(z))

    def log_prob(self, value: Tensor) -> Tensor:
        return self._chosen(self.rows(self.logits.log_softmax(-1), self.prefix(value)), value).sum(-1)

    def sequence_log_probs(self) -> Tensor:
        """Returns log π of every sequence, in the order of `bench.distributions.prefix_tree`."""
        return self.log_prob(self.enumerate_support()).movedim(0, -1)

    def accepted(self, z: Tensor) -> Float[Tensor, "*batch"]:
        """Returns 1 for the answers that end in state 0, else 0."""
        last = z[..., -1] * self.mask(z)
        return torch.where(self.prefix(z) == 0, last, 0).sum(-1)

    def values_to_go(self, beta: float = 0.0) -> Float[Tensor, "*batch left S"]:
        """Returns the expected reward from each state on, with 0, 1 … T tokens left; a penalty β log π/π_ref included.

        See `sums_to_go`.
        """
        log_probs = self.logits.log_softmax(-1)
        probs = log_probs.exp()
        ends = (torch.arange(self.states, device=probs.device) == 0).to(probs.dtype)
        gain = probs[..., -1] * ends
        if beta:
            assert self.reference is not None
            gain = gain - beta * (probs * (log_probs - self.reference.logits.log_softmax(-1))).sum(-1)
        return self.sums_to_go(gain)

    def sums_to_go(self, gain: Float[Tensor, "*batch S"]) -> Float[Tensor, "*batch left S"]:
        """Returns the expected sum of a gain of each token by its state, from each state on, with 0, 1 … T tokens left.

        With M the probabilities of moving on and g the gain of one token, v_n = Σ_{t<n} M^t g. The number of tokens
        left is doubled in each step, by v_{N+n} = v_N + M^N v_n: log₂ T products instead of T.
        """
        probs, T = self.logits.softmax(-1), self.event_shape[0]
        power = torch.einsum("...sv,svn->...sn", probs[..., :-1], self.moves())  # [*batch, S, S]
        values = torch.stack([torch.zeros_like(gain), gain], -2)
        while values.shape[-2] <= T:
            more = values[..., -1:, :] + values[..., 1:, :] @ power.mT
            values, power = torch.cat([values, more], -2), power @ power
        return values[..., : T + 1, :]

    def value(self, beta: float = 0.0) -> Float[Tensor, "*batch"]:
        """Returns the expected reward of each prompt; see `values_to_go`."""
        return self._at_start(self.values_to_go(beta))

    def mean_length(self) -> Float[Tensor, "*batch"]:
        return self._at_start(self.sums_to_go(torch.ones_like(self.logits[..., 0])))

    def entropy(self) -> Float[Tensor, "*batch"]:
        """Returns the entropy of the sequence: the expected sum of the next-token laws' entropies."""
        log_probs = self.logits.log_softmax(-1)
        return self._at_start(self.sums_to_go(-torch.xlogy(log_probs.exp(), log_probs.exp()).sum(-1)))

    def _at_start(self, values: Float[Tensor, "*batch left S"]) -> Float[Tensor, "*batch"]:
        return values[..., -1, :].take_along_dim(self.first.unsqueeze(-1), -1).squeeze(-1)

    @torch.no_grad()
    def _decoded(self, noise: Tensor | None, sample_shape: tuple[int, ...]) -> Tensor:
        """Returns sequences: the token at every position for every state, then the one path through them."""
        T, V = self.event_shape
        law = self.logits.softmax(-1).unsqueeze(-3)  # [*batch, 1, S, V]
        token = law.argmax(-1) if noise is None else _inverse(law, noise.unsqueeze(-1))
        token = token.expand(*sample_shape, *self.batch_shape, T, self.states)
        each, names = torch.arange(self.states, device=token.device), torch.arange(1, V + 1, device=token.device)
        after = ((each.unsqueeze(-1) + names) % self.states).flatten()  # by state and token
        before = states_before(after[each * V + token], self.first)
        token = token.take_along_dim(before.unsqueeze(-1), -1).squeeze(-1)
        going = (token == V - 1).cumsum(-1) == 0
        return torch.eye(V, dtype=self.logits.dtype, device=token.device)[torch.where(going, token, V - 1)]


def states_before(after: Int[Tensor, "*batch T S"], first: Int[Tensor, "#prompts"]) -> Int[Tensor, "*batch T"]:
    """Returns the state before each step, from the state after it for every state before.

    Maps are composed in pairs, then pairs of pairs … (Hillis, Steele 1986, Communications of the ACM 29): log₂ T steps.

    >>> states_before(torch.tensor([[[1, 0], [1, 1], [0, 0]]]), torch.tensor([0]))
    tensor([[0, 1, 1]])
    """
    T, step = after.shape[-2], 1
    while step < T - 1:
        composed = after[..., step:, :].gather(-1, after[..., :-step, :])
        after, step = torch.cat([after[..., :step, :], composed], -2), 2 * step
    start = first.unsqueeze(-1).expand((*after.shape[:-2], 1))
    rest = after[..., :-1, :].take_along_dim(start.unsqueeze(-1), -1).squeeze(-1)
    return torch.cat([start, rest], -1)


@distributions.register("automaton_policy")
@dataclass(frozen=True)
class AutomatonPolicyFamily(BehaviourSettings, Family):
    """A policy over answers of at most `size` tokens, with an end token, for each of `prompts` prompts.

    Next-token logits depend on the prompt and on the state of a counter modulo `states`: see `AutomatonPolicy`. θ:
    `state` [states, V] and `prompt` [prompts, V], which are added. The target is the mean over prompts. Rewards that
    depend on the state at the end have exact values at any length.

    θ is drawn, with an end token about every `size`/2 tokens; that token's logit is then raised in state 0 and lowered
    in the others until the mean probability of an accepted answer is `rate`.

    Behaviour policy: `stale` steps of `optimiser` ("sgd" or "adam") with `learning_rate` down the exact gradient of the
    probability of an accepted answer, then logit noise of standard deviation `logit_noise`, `temperature`, `top_k` (0:
    all), `top_p`; it is on-policy with all of these at their defaults. `truncated_trainer`: the trainer's
    log-probabilities are of π restricted to the tokens that the behaviour may draw. Reference policy: π with logit
    noise of standard deviation `reference_noise`. Proximal policy: the behaviour, or π `proximal_stale` steps back. All
    of them are constants, made at the family's θ.
    """

    used_by = "losses over long rollouts of a language model: importance ratios and length normalisation"
    discrete = True
    factorised = False
    reparameterised = False
    coordinates: ClassVar[tuple[str, ...]] = ("unconstrained",)
    data_axes: ClassVar[int] = 1

    size: int = 30
    vocabulary: int = 4
    states: int = 3
    prompts: int = 2
    rate: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_behaviour(self.name)
        for wrong, sentence in (
            (self.vocabulary < 3, f"vocabulary must be at least 3, with the end token, found {self.vocabulary}"),
            (self.size < 3, f"size must be at least 3 tokens, found {self.size}"),
            (self.states < 2, f"states must be at least 2, found {self.states}"),
            (self.prompts < 1, f"prompts must be at least 1, found {self.prompts}"),
            (not 0 < self.rate < 1, f"rate must be in (0, 1), found {self.rate}"),
        ):
            if wrong:
                raise BadInput(f"{self.name}: {sentence}")

    def theta(self, point: str, coordinates: str) -> Tensors:
        _ = self.beside
        return self._theta()

    def _theta(self) -> Tensors:
        return {name: torch.tensor(value) for name, value in self.drawn.items()}

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        return {"logits": theta["prompt"].unsqueeze(-2) + theta["state"]}

    def build(self, parameters: Tensors) -> Distribution:
        return self.builder(parameters["logits"])(parameters)

    def builder(self, like: Tensor) -> Callable[[Tensors], Distribution]:
        others = self.beside.like(like)
        return lambda parameters: AutomatonPolicy(
            parameters["logits"], self.size, drop=self.truncated_trainer, **others
        )

    def success(self, theta: Tensors) -> Float[Tensor, "prompts"]:
        """Returns the probability of an accepted answer to each prompt."""
        return AutomatonPolicy(self.encode(theta, "unconstrained")["logits"], self.size).value()

    @cached_property
    def drawn(self) -> dict[str, np.ndarray]:
        """θ as NumPy arrays, which outlive the torch.func transform in which they are made."""
        draw, V = np.random.default_rng(14), self.vocabulary
        theta = {"state": draw.normal(0, 0.5, (self.states, V)), "prompt": draw.normal(0, 0.2, (self.prompts, V))}
        theta["state"][:, -1] += np.log(2 * (V - 1) / self.size)
        side = np.where(np.arange(self.states) == 0, 0.5, -0.5)
        low, high = -60.0, 60.0
        for _ in range(60):
            tilt = (low + high) / 2
            moved = theta["state"].copy()
            moved[:, -1] += tilt * side
            at = {"state": torch.tensor(moved), "prompt": torch.tensor(theta["prompt"])}
            rate = float(self.success(at).mean())
            low, high = (tilt, high) if rate < self.rate else (low, tilt)
        return {"state": moved, "prompt": theta["prompt"]}

    @cached_property
    def beside(self) -> Policies:
        """The policies beside π, `[prompts, states, V]` each."""
        theta = self._theta()
        return self.policies(theta, lambda at: self.success(at).mean(), self._logits)

    def _logits(self, theta: Tensors) -> Tensor:
        return self.encode(theta, "unconstrained")["logits"]
