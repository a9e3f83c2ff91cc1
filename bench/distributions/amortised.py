"""Amortised posteriors: θ is the weights of an encoder; the data are a fixed minibatch of images."""

from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Independent

from bench.data.images import images
from bench.distributions.base import Encode, Family, distributions
from bench.distributions.bernoulli import Bernoulli, IndependentBits
from bench.distributions.categorical import FastOneHot
from bench.distributions.normal import FastNormal
from bench.numerics.tensors import Tensors
from bench.plugins.settings import LATER
from estimators.errors import BadInput


@dataclass(frozen=True)
class Encoder(Family):
    """`size` latent variables per image; their parameters are a linear function of its binary pixels (0 or 1), or of
    a layer of `hidden_units` tanh units.

    The images are the first `batch` of `data`: `digits` (scikit-learn's, 8 × 8), `digits_28` (the same as 28 × 28),
    `mnist` (28 × 28) or the path of an IDX file. The target is the mean over them. `extreme`: eight times a fresh
    encoder's weights, which saturates it.
    """

    points: ClassVar[tuple[str, ...]] = ("default", "extreme")
    coordinates: ClassVar[tuple[str, ...]] = ("unconstrained",)
    data_axes: ClassVar[int] = 1

    size: int = 32
    batch: int = 20
    data: str = "digits"
    hidden_units: int = field(default=0, metadata=LATER)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden_units < 0:
            raise BadInput(f"hidden_units must be at least 0, found {self.hidden_units}")

    @property
    def outputs(self) -> int:
        """Number of outputs of the encoder per image."""
        return self.size

    @property
    def inputs(self) -> int:
        """Number of inputs of a decoder."""
        return self.size

    def theta(self, point: str, coordinates: str) -> Tensors:
        if not self.hidden_units:
            return self.scaled(linear_layer(self.pixels, self.outputs, seed=1), point)
        first = linear_layer(self.pixels, self.hidden_units, seed=4)
        last = linear_layer(self.hidden_units, self.outputs, seed=1)
        return self.scaled({f"hidden_{name}": value for name, value in first.items()} | last, point)

    def scaled(self, weights: Tensors, point: str) -> Tensors:
        """Returns fresh weights, scaled by 8 at the point `extreme`."""
        return {name: (8.0 if point == "extreme" else 1.0) * value for name, value in weights.items()}

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        return self.encoder(theta["weight"])(theta, coordinates)

    def encoder(self, like: Tensor) -> Encode:
        return partial(self.encode_images, self.images().to(like))

    def encode_images(self, pixels: Float[Tensor, "batch pixels"], theta: Tensors, coordinates: str) -> Tensors:
        """Returns q's parameters for a minibatch of images."""
        inputs = pixels
        if self.hidden_units:
            inputs = torch.tanh(pixels @ theta["hidden_weight"].T + theta["hidden_bias"])
        return self.split(inputs @ theta["weight"].T + theta["bias"])

    def split(self, output: Float[Tensor, "*batch outputs"]) -> Tensors:
        """Returns q's parameters from the encoder's outputs."""
        return {"logits": output}

    def images(self) -> Float[Tensor, "batch pixels"]:
        """Returns the minibatch."""
        return images(self.data)[: self.batch]

    @property
    def pixels(self) -> int:
        """Number of pixels per image."""
        return images(self.data).shape[1]


@distributions.register("bernoulli_encoder")
@dataclass(frozen=True)
class BernoulliEncoder(Encoder):
    """`size` bits per image."""

    used_by = "discrete VAEs (Mnih, Gregor 2014; Tucker 2017; Dong 2020)"
    discrete = True
    reparameterised = False

    def build(self, parameters: Tensors) -> Distribution:
        return IndependentBits(Bernoulli(logits=parameters["logits"], validate_args=False), 1, validate_args=False)


@distributions.register("categorical_encoder")
@dataclass(frozen=True)
class CategoricalEncoder(Encoder):
    """`size` one-hot variables of `categories` values per image."""

    used_by = "categorical VAEs (Jang 2017; Paulus 2021; Fan 2022; Liu 2023)"
    discrete = True
    reparameterised = False

    size: int = 8
    categories: int = 4

    @property
    def outputs(self) -> int:
        return self.size * self.categories

    inputs = outputs

    def split(self, output: Float[Tensor, "*batch outputs"]) -> Tensors:
        return {"logits": output.unflatten(-1, (self.size, self.categories))}

    def build(self, parameters: Tensors) -> Distribution:
        return Independent(FastOneHot(logits=parameters["logits"], validate_args=False), 1, validate_args=False)


@distributions.register("normal_encoder")
@dataclass(frozen=True)
class NormalEncoder(Encoder):
    """`size` independent Normals per image; the encoder's outputs are loc and log scale."""

    used_by = "VAEs (Kingma, Welling 2014; Rezende 2014; Roeder 2017)"
    discrete = False
    reparameterised = True

    size: int = 8

    @property
    def outputs(self) -> int:
        return 2 * self.size

    def split(self, output: Float[Tensor, "*batch outputs"]) -> Tensors:
        loc, log_scale = output.chunk(2, -1)
        return {"loc": loc, "scale": log_scale.exp()}

    def build(self, parameters: Tensors) -> Distribution:
        return Independent(FastNormal(**parameters, validate_args=False), 1, validate_args=False)


def linear_layer(inputs: int, outputs: int, seed: int) -> Tensors:
    """Returns a fresh linear layer: weights uniform in ±1/√inputs, the same on every machine."""
    draws = np.random.default_rng(seed).uniform(-1, 1, (outputs, inputs + 1)) / inputs**0.5
    return {"weight": torch.tensor(draws[:, :-1]), "bias": torch.tensor(draws[:, -1])}
