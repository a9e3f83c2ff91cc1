"""The smallest sequence policy: a table of next-token logits for every prefix, with an end token."""

import itertools
from typing import ClassVar

import torch
from jaxtyping import Int
from torch import Tensor
from torch.distributions import Distribution, constraints

from estimators.traits import Need


class PrefixTable(Distribution):
    """Sequences of at most T tokens, one-hot rows of V; the last token of the vocabulary ends a sequence.

    A draw is `[*batch, T, V]`, with the end token at all places after the end. Prefixes without an end token are
    ordered by length, then as numbers in base V − 1. Used by the checks of losses over rollouts, and by tests.

    Args:
        logits: next-token logits, `[*batch, prefixes, V]`, prefixes = 1 + (V − 1) + … + (V − 1)^{T−1}.
        behaviour_logits: the same of the policy to draw from. Default: on-policy.
        reference_logits: the same of the reference policy. Default: none.
        prompt_axes: how many of the last batch axes are prompts.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {  # type: ignore[misc]
        "logits": constraints.independent(constraints.real, 2)
    }
    support = constraints.independent(constraints.one_hot, 1)  # type: ignore[assignment]
    has_enumerate_support = True
    offers = frozenset({Need.DENSITY, Need.MODE})
    offers_not = frozenset({Need.MEAN, Need.FACTORISED, Need.PARAMETERS})

    def __init__(
        self,
        logits: Tensor,
        behaviour_logits: Tensor | None = None,
        reference_logits: Tensor | None = None,
        prompt_axes: int = 0,
    ) -> None:
        self.logits, self.prompt_axes = logits, prompt_axes
        self.behaviour = None if behaviour_logits is None else PrefixTable(behaviour_logits)
        self.reference = None if reference_logits is None else PrefixTable(reference_logits)
        prefixes, V = logits.shape[-2:]
        T = 1
        while sum((V - 1) ** t for t in range(T)) < prefixes:
            T += 1
        super().__init__(logits.shape[:-2], torch.Size([T, V]), validate_args=False)

    @property
    def like(self) -> Tensor:
        """A tensor with the policy's dtype, on its device."""
        return self.logits

    def mask(self, z: Tensor) -> Tensor:
        """Returns 1 up to and with the end token, else 0, `[*sample, *batch, T]`."""
        ended = z[..., -1]
        return (ended.cumsum(-1) - ended == 0).to(self.like.dtype)

    def prefix(self, z: Tensor) -> Int[Tensor, "*batch T"]:
        """Returns the row of the table of each token's prefix; 0 after the end."""
        T, V = self.event_shape
        place = torch.arange(T, device=z.device)
        ahead = place - place[:, None] - 1
        powers = torch.where(ahead >= 0, (V - 1) ** ahead.clamp_min(0), 0)
        token = token_numbers(z)
        shorter = (V - 1) ** place  # prefixes of each length
        row = (token.unsqueeze(-1) * powers).sum(-2) + shorter.cumsum(-1) - shorter
        return torch.where(self.mask(z) > 0, row, 0)

    def next_log_probs(self, z: Tensor) -> Tensor:
        """Returns log π of every next token after each prefix of z, `[*sample, *batch, T, V]`."""
        rows = self.prefix(z).unsqueeze(-1)
        table = self.logits.log_softmax(-1)
        return table.expand(*rows.shape[:-2], *table.shape[-2:]).take_along_dim(rows, -2)

    def log_prob_steps(self, z: Tensor) -> Tensor:
        """Returns log π(y_t | y_<t) of every token, `[*sample, *batch, T]`, 0 after the end token."""
        chosen = (self.next_log_probs(z) * z).sum(-1)
        return torch.where(self.mask(z) > 0, chosen, 0)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.log_prob_steps(value).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Returns all sequences."""
        T, V = self.event_shape
        index = [
            y
            for y in itertools.product(range(V), repeat=T)
            if all(b == V - 1 for a, b in itertools.pairwise(y) if a == V - 1)
        ]
        z = torch.eye(V, dtype=self.like.dtype, device=self.like.device)[torch.tensor(index)]
        z = z.reshape(-1, *(1 for _ in self.batch_shape), T, V)
        return z.expand(-1, *self.batch_shape, -1, -1) if expand else z

    @torch.no_grad()
    def sample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        T = self.event_shape[0]
        noise = torch.rand(*sample_shape, *self.batch_shape, T, 1, dtype=self.like.dtype, device=self.like.device)
        return self._decoded(noise, sample_shape)

    @property
    def mode(self) -> Tensor:
        """The greedy sequence: the most probable token after each prefix."""
        with torch.no_grad():
            return self._decoded(None, ())

    def _decoded(self, noise: Tensor | None, sample_shape: tuple[int, ...]) -> Tensor:
        """Returns sequences token by token: by inverse distribution functions of `noise`, or greedily without it."""
        T, V = self.event_shape
        end = torch.eye(V, dtype=self.like.dtype, device=self.like.device)[-1]
        z = end.expand(*sample_shape, *self.batch_shape, T, V)
        names = torch.arange(V, device=z.device)
        for t in range(T):
            shown = torch.cat([z[..., :t, :], torch.roll(end, 1).expand_as(z[..., t:, :])], -2)  # no end from t on
            law = self.next_log_probs(shown)[..., t, :].exp()
            if noise is None:
                index = law.argmax(-1, keepdim=True)
            else:
                index = (noise[..., t, :] > law.cumsum(-1)[..., :-1]).sum(-1, keepdim=True)
            drawn = (index == names).to(z.dtype)
            alive = self.mask(shown)[..., t, None]
            row = alive * drawn + (1 - alive) * end
            z = torch.cat([z[..., :t, :], row.unsqueeze(-2), z[..., t + 1 :, :]], -2)
        return z


def token_numbers(z: Tensor) -> Int[Tensor, "*batch T"]:
    """Returns the number of each token of one-hot rows `[*batch, T, V]`.

    >>> token_numbers(torch.eye(3))
    tensor([0, 1, 2])
    """
    return (z @ torch.arange(z.shape[-1], dtype=z.dtype, device=z.device)).long()
