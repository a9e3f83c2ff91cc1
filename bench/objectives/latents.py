"""The terms of a VAE's bound that depend on the kind of latents: prior, KL divergence, E softplus of a decoder."""

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from bench.numerics.expected_softplus import mean_softplus
from bench.numerics.quadrature import REACH, normal_expectation
from bench.numerics.tensors import Tensors
from bench.objectives.gaussian import divergence, projected


class Latents(ABC):
    """A kind of latent variable; `parameters` are q's, `[*leading, batch, …]`; the decoder is linear in flat z."""

    @abstractmethod
    def flat(self, z: Tensor) -> Tensor:
        """Returns z as the decoder's input: `[…, *event]` → `[…, inputs]`."""

    @abstractmethod
    def log_prior(self, z: Tensor) -> Tensor:
        """Returns log p(z), `[…]`."""

    @abstractmethod
    def divergence(self, parameters: Tensors) -> Tensor:
        """Returns KL(q ‖ p), `[*leading, batch]`."""

    @abstractmethod
    def mean(self, parameters: Tensors) -> Tensor:
        """Returns E flat(z), `[*leading, batch, inputs]`."""

    @abstractmethod
    def mean_softplus(self, parameters: Tensors, weight: Tensor, bias: Tensor, level: int) -> Tensor:
        """Returns Σ_pixels E softplus(W flat(z) + b), `[*leading, batch]`; `level` + 1 doubles the nodes."""


class Bits(Latents):
    """Bits with a uniform prior."""

    def flat(self, z: Tensor) -> Tensor:
        return z

    def log_prior(self, z: Tensor) -> Tensor:
        return -z.shape[-1] * math.log(2) * torch.ones_like(z[..., 0])

    def divergence(self, parameters: Tensors) -> Tensor:
        logits = parameters["logits"]
        return (logits * logits.sigmoid() - softplus(logits) + math.log(2)).sum(-1)

    def mean(self, parameters: Tensors) -> Tensor:
        return parameters["logits"].sigmoid()

    def mean_softplus(self, parameters: Tensors, weight: Tensor, bias: Tensor, level: int) -> Tensor:
        logits = parameters["logits"]
        probs = torch.stack([(-logits).sigmoid(), logits.sigmoid()], -1)
        return mean_softplus(probs, torch.stack([torch.zeros_like(weight), weight], -1), bias, level)


class OneHots(Latents):
    """One-hot variables with a uniform prior."""

    def flat(self, z: Tensor) -> Tensor:
        return z.flatten(-2)

    def log_prior(self, z: Tensor) -> Tensor:
        return -z.shape[-2] * math.log(z.shape[-1]) * torch.ones_like(z[..., 0, 0])

    def divergence(self, parameters: Tensors) -> Tensor:
        log_probs = parameters["logits"].log_softmax(-1)
        return (log_probs.exp() * (log_probs + math.log(log_probs.shape[-1]))).sum((-1, -2))

    def mean(self, parameters: Tensors) -> Tensor:
        return parameters["logits"].softmax(-1).flatten(-2)

    def mean_softplus(self, parameters: Tensors, weight: Tensor, bias: Tensor, level: int) -> Tensor:
        probs = parameters["logits"].softmax(-1)
        return mean_softplus(probs, weight.reshape(-1, *probs.shape[-2:]), bias, level)


class Normals(Latents):
    """Normals with a standard Normal prior: each pixel's logit is then Normal, for any number of latents."""

    def flat(self, z: Tensor) -> Tensor:
        return z

    def log_prior(self, z: Tensor) -> Float[Tensor, "*batch"]:
        return -(z.square() + math.log(2 * math.pi)).sum(-1) / 2

    def divergence(self, parameters: Tensors) -> Tensor:
        return divergence(parameters)

    def mean(self, parameters: Tensors) -> Tensor:
        return parameters["loc"]

    def mean_softplus(self, parameters: Tensors, weight: Tensor, bias: Tensor, level: int) -> Tensor:
        mean, variance = projected(parameters, weight)
        return normal_expectation(softplus_exact, mean + bias, variance.sqrt(), 64 * 2**level, REACH + level / 2).sum(
            -1
        )


def softplus_exact(a: Tensor) -> Tensor:
    """Returns log(1 + eᵃ) exactly; torch's softplus returns a above 20, with an error of 2e-9."""
    return torch.logaddexp(a, torch.zeros_like(a))
