"""A language-model policy whose next-token logits are sums over prompt, position and earlier tokens."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bench.distributions.base import distributions
from bench.distributions.prefix_policy import LanguagePolicy, per_replicate
from bench.numerics.tensors import Tensors
from estimators.errors import BadInput


@distributions.register("log_linear_policy")
@dataclass(frozen=True)
class LogLinearPolicyFamily(LanguagePolicy):
    """`token_policy` with an end token: the logits after a prefix y_1 … y_n of prompt b are

    prompt_b + position_n + bigram[y_n] + Σ_s history[y_s].

    θ: `prompt` [prompts, V], `position` [size, V], `bigram` [V − 1, V], `history` [V − 1, V], V the number of tokens
    with the end token, which stands in no prefix. `scale` multiplies θ: at 5 the policy is one late in training, whose
    group rewards are often all equal.
    """

    used_by = "losses over rollouts of a language model, whose prompts share parameters (RLOO, GRPO, PPO)"

    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.scale > 0:
            raise BadInput(f"{self.name}: scale must be above 0, found {self.scale}")

    def start(self) -> Tensors:
        draw, V = np.random.default_rng(15), self.vocabulary
        rows = {"prompt": self.prompts, "position": self.size, "bigram": V - 1, "history": V - 1}
        theta = {name: torch.tensor(draw.normal(0, 0.4, (each, V))) for name, each in rows.items()}
        theta["history"] = theta["history"] / self.size**0.5
        return {name: self.scale * value for name, value in theta.items()}

    def encode_table(self, theta: Tensors) -> Float[Tensor, "prompts prefixes V"]:
        last, history = torch.zeros_like(theta["bigram"][:1]), torch.zeros_like(theta["history"][:1])
        found = []
        for n in range(self.size):
            found.append(theta["position"][n] + last + history)
            last = theta["bigram"].repeat(len(last), 1)
            history = (history.unsqueeze(1) + theta["history"]).flatten(0, 1)
        return theta["prompt"].unsqueeze(1) + torch.cat(found)

    def logits_along(self, theta: Tensors, z: Float[Tensor, "*batch T V"]) -> Float[Tensor, "*batch T V"]:
        last = torch.nn.functional.pad(z[..., :-1, :-1], (0, 0, 1, 0))
        given = theta["prompt"].unsqueeze(-2) + theta["position"][..., : z.shape[-2], :].unsqueeze(-3)
        return given + per_replicate(last, theta["bigram"]) + per_replicate(last.cumsum(-2), theta["history"])
