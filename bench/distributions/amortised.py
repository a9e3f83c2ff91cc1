"""Amortised posteriors: θ is an encoder's weights, the data are a fixed minibatch of digits."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Independent

from bench.data import digits
from bench.distributions.base import Family, Tensors, distributions
from bench.distributions.bernoulli import Bernoulli

PIXELS = 64


@distributions.register("bernoulli_encoder")
@dataclass(frozen=True)
class BernoulliEncoder(Family):
    """`size` bits per image, whose logits are a linear function of its 64 binary pixels (0 or 1, not centred).

    The data are the first `batch` digits of scikit-learn's, binarised; the target is the mean over them.
    """

    used_by = "discrete VAEs (Mnih, Gregor 2014; Tucker 2017; Dong 2020)"
    discrete = True
    reparameterised = False
    coordinates: ClassVar[tuple[str, ...]] = ("unconstrained",)
    data_axes: ClassVar[int] = 1

    size: int = 32
    batch: int = 20

    def theta(self, point: str, coordinates: str) -> Tensors:
        return linear_layer(PIXELS, self.size, seed=1)

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        return {"logits": self.images().to(theta["weight"]) @ theta["weight"].T + theta["bias"]}

    def build(self, parameters: Tensors) -> Distribution:
        return Independent(Bernoulli(logits=parameters["logits"], validate_args=False), 1, validate_args=False)

    def images(self) -> Float[Tensor, "batch 64"]:
        """The minibatch."""
        return digits()[: self.batch]


def linear_layer(inputs: int, outputs: int, seed: int) -> Tensors:
    """A fresh linear layer, uniform in ±1/√inputs, the same on every machine."""
    draws = np.random.default_rng(seed).uniform(-1, 1, (outputs, inputs + 1)) / inputs**0.5
    return {"weight": torch.tensor(draws[:, :-1]), "bias": torch.tensor(draws[:, -1])}
