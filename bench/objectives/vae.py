"""The evidence lower bound of a VAE with Bernoulli latents on real digits."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from bench.distributions.amortised import PIXELS, BernoulliEncoder, linear_layer
from bench.distributions.base import Family, Tensors
from bench.objectives.base import Target, objectives
from bench.points import load
from bench.softplus import mean_softplus
from estimators.core import Evidence, Objective


@objectives.register("digits_vae")
@dataclass(frozen=True)
class DigitsVae(Target):
    """log p(x | z) + log p(z) − log q(z | x): binarised 8 × 8 digits, uniform bits z, linear decoder, per image.

    Points: `start` is a fresh encoder and decoder; `trained` is the same model after training. The decoder's
    weights are constants here. Exact: see `bench.softplus`; the divergence of q from the uniform prior is closed.
    """

    used_by = "discrete VAEs (Mnih, Gregor 2014; Tucker 2017; Dong 2020)"
    points = ("start", "trained")

    def fits(self, family: Family) -> str | None:
        return None if isinstance(family, BernoulliEncoder) else "decodes an encoder's bits"

    def theta(self, family: Family, point: str) -> Tensors | None:
        if point == "trained":
            saved = load(self.name, family.name, family.size, point)
            return {name: saved[name] for name in ("weight", "bias")}
        return family.theta("default", family.coordinates[0])

    def decoder(self, family: Family, point: str) -> Tensors:
        """`weight` [64, bits] and `bias` [64] at a point, float64 on the CPU."""
        if point == "trained":
            saved = load(self.name, family.name, family.size, point)
            return {name: saved[f"decoder_{name}"] for name in ("weight", "bias")}
        return linear_layer(family.size, PIXELS, seed=2)

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        x = images(family).to(like)
        decoder = {name: value.to(like) for name, value in self.decoder(family, point).items()}
        return Evidence(lambda z: log_joint(z, x, decoder))

    def expectation(self, family: Family, point: str, parameters: Tensors) -> Float[Tensor, "*leading batch"]:
        return bound(parameters["logits"], images(family), self.decoder(family, point))


def images(family: Family) -> Float[Tensor, "batch 64"]:
    """The family's minibatch."""
    assert isinstance(family, BernoulliEncoder)
    return family.images()


def log_joint(z: Float[Tensor, "*sample batch bits"], x: Float[Tensor, "batch 64"], decoder: Tensors) -> Tensor:
    """log p(x | z) + log p(z), `[*sample, batch]`; differentiable in z between the bits."""
    pixel_logits = z @ decoder["weight"].T + decoder["bias"]
    return (x * pixel_logits - softplus(pixel_logits)).sum(-1) - z.shape[-1] * math.log(2)


def bound(
    logits: Float[Tensor, "*leading batch bits"], x: Float[Tensor, "batch 64"], decoder: Tensors, level: int = 0
) -> Float[Tensor, "*leading batch"]:
    """The evidence lower bound of each image, exactly, differentiable in the encoder's logits."""
    mean_pixel_logits = torch.sigmoid(logits) @ decoder["weight"].T + decoder["bias"]
    entropy = softplus(logits) - logits * torch.sigmoid(logits)
    likelihood = (x * mean_pixel_logits).sum(-1) - mean_softplus(logits, decoder["weight"], decoder["bias"], level)
    return likelihood + entropy.sum(-1) - logits.shape[-1] * math.log(2)
