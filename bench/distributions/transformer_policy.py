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
from bench.distributions.prefix_policy import LanguagePolicy, per_replicate
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

    def encode_table(self, theta: Tensors) -> Float[Tensor, "prompts prefixes V"]:
        inputs = self._inputs(theta)
        rows = [self._at_length(theta, inputs, n) for n in range(self.size)]
        return torch.cat([each.reshape(self.prompts, -1, self.vocabulary) for each in rows], -2)

    def _inputs(self, theta: Tensors) -> list[Float[Tensor, "values width"]]:
        """Returns what can stand at each position: every prompt at the first, every token at the others."""
        prompt, token = theta["prompt"] + theta["position"][0], theta["token"]
        return [prompt, *(token + each for each in theta["position"][1:])]

    def _at_length(self, theta: Tensors, inputs: list[Tensor], n: int) -> Float[Tensor, "prompts *tokens V"]:
        """Returns the logits after all prefixes of n tokens, an axis for each token.

        With one layer, keys and values depend on one token, scores on two: attention is a sum over positions of tables
        of the token there and the last token, each of which is broadcast to all prefixes.
        """
        last = inputs[n]
        query = last @ theta["query"] / self.width**0.5
        score = [x @ theta["key"] @ query.T for x in inputs[:n]] + [((last @ theta["key"]) * query).sum(-1)]
        top = torch.stack([each.detach().amax(0) if each.dim() > 1 else each.detach() for each in score]).amax(0)
        weight = [(each - top).exp() for each in score]
        given = [x @ theta["value"] @ theta["output"] @ theta["unembedding"] for x in inputs[: n + 1]]
        total, mixed = weight[-1], weight[-1].unsqueeze(-1) * given[-1]  # the last token attends to itself
        if n:
            total, mixed = total + weight[0], mixed + weight[0].unsqueeze(-1) * given[0].unsqueeze(-2)
        for each, value in zip(weight[1:-1], given[1:-1], strict=True):  # one more axis, before that of the last token
            total = total.unsqueeze(-2) + each
            mixed = mixed.unsqueeze(-3) + each.unsqueeze(-1) * value.unsqueeze(-2)
        return last @ theta["unembedding"] + theta["bias"] + mixed / total.unsqueeze(-1)

    def logits_along(self, theta: Tensors, z: Float[Tensor, "*batch T V"]) -> Float[Tensor, "*batch T V"]:
        tokens = per_replicate(z[..., :-1, :-1], theta["token"])
        prompt = theta["prompt"].unsqueeze(-2)
        x = torch.cat([prompt.expand(*tokens.shape[:-2], *prompt.shape[-2:]), tokens], -2)
        x = x + theta["position"][..., : z.shape[-2], :].unsqueeze(-3)
        score = per_replicate(x, theta["query"]) @ per_replicate(x, theta["key"]).mT / self.width**0.5
        later = torch.ones(score.shape[-2:], device=x.device).triu(1) > 0
        mixed = score.masked_fill(later, -torch.inf).softmax(-1) @ per_replicate(x, theta["value"])
        return per_replicate(x + per_replicate(mixed, theta["output"]), theta["unembedding"]) + theta["bias"].unsqueeze(
            -2
        ).unsqueeze(-2)


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
