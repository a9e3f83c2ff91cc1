"""A critic of known error: the exact values of states plus an error, constant or by state."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Objective
from estimators.policy.state_values import state_values
from estimators.tools.parameters import base

GOLDEN_RATIO = (5**0.5 - 1) / 2
"""Multiples of the golden ratio, modulo 1, fill the interval evenly (Weyl 1916, Math. Ann. 77, 313–352)."""

HASH_FACTOR, HASH_PRIME = 48_271, 2**31 - 1


@dataclass(frozen=True)
class Critic:
    """Exact values with a known error.

    Args:
        error: what is added to the value of every state.
        state_error: the standard deviation over states of an error that is fixed for each state.
    """

    error: float = 0.0
    state_error: float = 0.0

    def values(self, q: Distribution, f: Objective, z: Tensor) -> Float[Tensor, "*batch T"]:
        """Returns the critic's value before each token of draws z, a constant."""
        exact = state_values(q, f, z)
        if not self.state_error:
            return exact + self.error
        return exact + self.error + self.state_error * errors_of_states(q, z).to(exact)


def errors_of_states(q: Distribution, z: Tensor) -> Float[Tensor, "*batch T"]:
    """Returns an error before each token that depends on the state, the step and the prompt alone, in [−√3, √3].

    Over states it has mean 0 and standard deviation 1, nearly. A state is what q's `state(z)` numbers; without that,
    all earlier tokens. Float64; no random numbers.
    """
    inner: Any = base(q)
    number = inner.state(z) if hasattr(inner, "state") else numbers_of_prefixes(q, z)
    T = number.shape[-1]
    place = torch.arange(T, dtype=torch.float64, device=z.device)
    prompts = number.shape[-2] if getattr(inner, "prompt_axes", 0) else 1
    prompt = torch.arange(prompts, dtype=torch.float64, device=z.device).unsqueeze(-1)
    prompt = prompt if prompts > 1 else prompt[0]
    mixed = ((number + 1).square() % HASH_PRIME).double()
    even = (mixed * GOLDEN_RATIO + place * 2**0.5 + prompt * 3**0.5 + GOLDEN_RATIO).frac()
    return 12**0.5 * (even - 0.5)


def numbers_of_prefixes(q: Distribution, z: Tensor) -> Int[Tensor, "*batch T"]:
    """Returns a number for the values before each step, another one for other values; 0 before the first.

    A polynomial of the values modulo a prime (Karp, Rabin 1987, IBM J. Res. Dev. 31), so that T may be long.
    """
    axes = len(q.event_shape)
    value = z.flatten(z.dim() - axes + 1).argmax(-1) if axes > 1 else z.long()
    value = value if axes else value.unsqueeze(-1)
    found = [torch.zeros_like(value[..., 0])]
    for t in range(value.shape[-1] - 1):
        found.append((found[-1] * HASH_FACTOR + value[..., t] + 1) % HASH_PRIME)
    return torch.stack(found, -1)
