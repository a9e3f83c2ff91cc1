"""A small autoregressive policy over token sequences: a minimal language model."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, constraints

from bench.distributions.base import Family, distributions
from bench.numerics.tensors import Tensors
from estimators.errors import BadInput
from estimators.traits import Need


class TokenPolicy(Distribution):
    """Sequences of T one-hot tokens; each token is drawn given all tokens before it:

    logits_t = start_t + x_{t−1} · bigram + (Σ_{s<t} x_s) · history,

    `start` `[*batch, T, V]` (prompt and position), `bigram` and `history` `[*batch, V, V]`.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {  # type: ignore[misc]
        "start": constraints.independent(constraints.real, 2),
        "bigram": constraints.independent(constraints.real, 2),
        "history": constraints.independent(constraints.real, 2),
    }
    support = constraints.independent(constraints.one_hot, 1)  # type: ignore[assignment]
    has_enumerate_support = True
    offers = frozenset({Need.DENSITY, Need.MODE})
    offers_not = frozenset({Need.MEAN, Need.FACTORISED})

    def __init__(self, start: Tensor, bigram: Tensor, history: Tensor, validate_args: bool | None = None) -> None:
        self.start, self.bigram, self.history = start, bigram, history
        super().__init__(start.shape[:-2], start.shape[-2:], validate_args)

    def sample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        """Samples one position after another, by inverse distribution functions."""
        noise = torch.rand(
            *sample_shape, *self.batch_shape, self.event_shape[0], dtype=self.start.dtype, device=self.start.device
        )

        def draw(logits: Tensor, t: int) -> Tensor:
            below = logits.softmax(-1).cumsum(-1)[..., :-1]
            return (noise[..., t, None] > below).sum(-1)

        return self._decode(draw, sample_shape)

    @property
    def mode(self) -> Tensor:
        """The greedy sequence: the most probable token at each position; not always the most probable sequence."""
        return self._decode(lambda logits, _: logits.argmax(-1), ())

    def log_prob(self, value: Tensor) -> Tensor:
        """Returns the sum of the chosen tokens' log-probabilities, all positions at once."""
        return (value * self.log_probs(value)).sum((-1, -2))

    def log_prob_steps(self, value: Tensor) -> Tensor:
        """Returns the log-probability of every chosen token given those before it, `[*batch, T]`."""
        return (value * self.log_probs(value)).sum(-1)

    def log_probs(self, value: Tensor) -> Tensor:
        """Returns the log-probability of every token of the vocabulary given the tokens before, `[*batch, T, V]`."""
        previous = torch.nn.functional.pad(value[..., :-1, :], (0, 0, 1, 0))
        before = value.cumsum(-2) - value
        return (self.start + previous @ self.bigram + before @ self.history).log_softmax(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Returns all V^T sequences."""
        length, tokens = self.event_shape
        index = torch.tensor(list(itertools.product(range(tokens), repeat=length)), device=self.start.device)
        table = torch.eye(tokens, dtype=self.start.dtype, device=self.start.device)[index]
        table = table.reshape(-1, *(1 for _ in self.batch_shape), length, tokens)
        return table.expand(-1, *self.batch_shape, -1, -1) if expand else table

    @torch.no_grad()
    def _decode(self, choose: Callable[[Tensor, int], Tensor], sample_shape: tuple[int, ...]) -> Tensor:
        length, tokens = self.event_shape
        names = torch.arange(tokens, device=self.start.device)
        previous = before = self.start.new_zeros(*sample_shape, *self.batch_shape, tokens)
        chosen = []
        for t in range(length):
            logits = self.start[..., t, :] + vector_matrix(previous, self.bigram) + vector_matrix(before, self.history)
            previous = (choose(logits, t)[..., None] == names).to(before.dtype)
            before = before + previous
            chosen.append(previous)
        return torch.stack(chosen, -2)


def vector_matrix(
    vector: Float[Tensor, "*sample rows"], matrix: Float[Tensor, "*batch rows columns"]
) -> Float[Tensor, "*sample columns"]:
    """Returns vector · matrix, with broadcast leading axes."""
    return (vector[..., None, :] @ matrix)[..., 0, :]


@distributions.register("token_policy")
@dataclass(frozen=True)
class TokenPolicyFamily(Family):
    """Sequences of `size` tokens of a `vocabulary` for each of `prompts` prompts; the target is the mean over prompts.

    θ: `prompt` [prompts, V], `position` [T, V], `bigram` [V, V], `history` [V, V]. The point `extreme` has five
    times the logits: a policy late in training, whose group rewards are often all equal.
    """

    used_by = "reinforcement learning with verifiable rewards (REINFORCE, RLOO, GRPO, ReMax, PPO)"
    discrete = True
    factorised = False
    reparameterised = False
    coordinates: ClassVar[tuple[str, ...]] = ("unconstrained",)
    points: ClassVar[tuple[str, ...]] = ("default", "extreme")
    data_axes: ClassVar[int] = 1

    size: int = 6
    vocabulary: int = 3
    prompts: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.vocabulary < 2:
            raise BadInput(f"token_policy needs a vocabulary of at least 2 tokens, not {self.vocabulary}")

    def theta(self, point: str, coordinates: str) -> Tensors:
        draw = np.random.default_rng(4)
        shapes = {"prompt": self.prompts, "position": self.size, "bigram": self.vocabulary, "history": self.vocabulary}
        scale = 5.0 if point == "extreme" else 1.0
        theta = {name: torch.tensor(draw.normal(0, 0.4, (rows, self.vocabulary))) for name, rows in shapes.items()}
        theta["history"] = theta["history"] / self.size**0.5
        return {name: scale * value for name, value in theta.items()}

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        return {
            "start": theta["prompt"][:, None] + theta["position"],
            "bigram": theta["bigram"].expand(self.prompts, -1, -1),
            "history": theta["history"].expand(self.prompts, -1, -1),
        }

    def build(self, parameters: Tensors) -> Distribution:
        return TokenPolicy(**parameters, validate_args=False)
