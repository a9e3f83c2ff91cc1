"""A language-model policy whose next-token logits come from one causal attention layer."""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bench.distributions.base import distributions
from bench.distributions.behaviours import STEPPERS
from bench.distributions.prefix_policy import LanguagePolicy
from bench.distributions.prefix_tree import prefixes_of
from bench.numerics.tensors import Tensors
from estimators.errors import BadInput, nearest

STAGES = {"early": 0.03, "middle": 0.3, "late": 0.85}
"""The mean success rate at which training stops."""
MOST_STEPS = 2_000
TRAINING_RATE = 0.03


@distributions.register("transformer_policy")
@dataclass(frozen=True)
class TransformerPolicyFamily(LanguagePolicy):
    """One causal attention layer over prompt and tokens, of `width` channels and one head; no normalisation.

    The input of position 0 is the prompt's embedding, that of position i the embedding of token i; each has its
    position's embedding added. The logits after a prefix are `unembedding`ᵀ (x + `output`ᵀ a) + `bias`, with x the last
    input and a its attention over all inputs up to it. θ: `prompt` [prompts, width], `token` [V − 1, width], `position`
    [size, width], `query`, `key`, `value`, `output` [width, width], `unembedding` [width, V], `bias` [V].

    `stage`: how far it is trained on its right answers, by Adam on the exact gradient from a fixed start: "early",
    "middle" or "late", with mean success rates of 0.03, 0.3 and 0.85; training goes down where the start is better.
    """

    used_by = "losses over rollouts of a language model, whose prompts and prefixes share parameters"
    by_jacobian: ClassVar[bool] = True
    """Whether estimates are pulled back by the encoder's Jacobian, where it is small enough to store."""

    size: int = 4
    vocabulary: int = 4
    width: int = 8
    stage: str = "middle"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stage not in STAGES:
            raise BadInput(f"{self.name} has no stage {self.stage!r}; {nearest(self.stage, STAGES)}")
        if self.width < 1:
            raise BadInput(f"{self.name}: width must be at least 1, found {self.width}")

    def fresh(self) -> Tensors:
        """Returns θ before training."""
        draw, d, V = np.random.default_rng(13), self.width, self.vocabulary
        shapes = {
            "prompt": (self.prompts, d),
            "token": (V - 1, d),
            "position": (self.size, d),
            "query": (d, d),
            "key": (d, d),
            "value": (d, d),
            "output": (d, d),
            "unembedding": (d, V),
            "bias": (V,),
        }
        scale = {"prompt": 1.0, "token": 1.0, "position": 0.5, "bias": 0.0}
        return {
            name: torch.tensor(draw.normal(0, 1, shape) * scale.get(name, d**-0.5)) for name, shape in shapes.items()
        }

    def start(self) -> Tensors:
        untouched = TransformerPolicyFamily(
            size=self.size,
            vocabulary=self.vocabulary,
            prompts=self.prompts,
            law=self.law,
            width=self.width,
            stage=self.stage,
        )
        arrays = trained(untouched)  # one training for all behaviours
        return {name: torch.tensor(value) for name, value in arrays.items()}

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        found = [self._at_length(theta, n) for n in range(self.size)]
        return {"logits": torch.cat(found, -2)}

    def _at_length(self, theta: Tensors, n: int) -> Float[Tensor, "prompts prefixes V"]:
        """Returns the logits after all prefixes of n tokens."""
        token = theta["token"][prefixes_of(n, self.vocabulary, theta["token"].device)]  # [prefixes, n, width]
        token = token.expand(self.prompts, *token.shape)
        prompt = theta["prompt"][:, None, None].expand(-1, token.shape[1], -1, -1)
        x = torch.cat([prompt, token], -2) + theta["position"][: n + 1]
        last = x[..., -1, :]
        score = ((x @ theta["key"]) * (last @ theta["query"]).unsqueeze(-2)).sum(-1) / self.width**0.5
        a = (score.softmax(-1).unsqueeze(-1) * (x @ theta["value"])).sum(-2)
        return (last + a @ theta["output"]) @ theta["unembedding"] + theta["bias"]


@lru_cache(maxsize=32)
def trained(family: TransformerPolicyFamily) -> dict[str, np.ndarray]:
    """Returns θ at a stage: Adam steps on the exact mean success, the last shortened to end at the stage's rate.

    NumPy arrays, because a tensor created inside a torch.func transform and cached would be invalid in the next one.
    """
    theta = family.fresh()
    before = theta
    stepper = STEPPERS["adam"](theta.values(), lr=TRAINING_RATE)
    slope = torch.func.grad_and_value(lambda at: family.success(at).mean())
    up = float(family.success(theta).mean()) < STAGES[family.stage]
    for _ in range(MOST_STEPS):
        gradient, rate = slope(theta)
        if (float(rate) >= STAGES[family.stage]) == up:
            return {name: value.numpy() for name, value in shortened(family, before, theta).items()}
        before = {name: value.clone() for name, value in theta.items()}
        for name, each in gradient.items():
            theta[name].grad = -each if up else each
        stepper.step()
    raise BadInput(f"transformer_policy: training does not reach the stage {family.stage!r} at these settings")


def shortened(family: TransformerPolicyFamily, before: Tensors, after: Tensors) -> Tensors:
    """Returns the θ between two, of success rates around the stage's, that has it; by bisection."""
    low, high = 0.0, 1.0
    rising = bool(family.success(before).mean() < family.success(after).mean())
    found = after
    for _ in range(40):
        middle = (low + high) / 2
        found = {name: before[name].lerp(after[name], middle) for name in after}
        if (float(family.success(found).mean()) < STAGES[family.stage]) == rising:
            low = middle
        else:
            high = middle
    return found
