"""Two layers of bits, the second conditional on the first: the posterior of a sigmoid belief net."""

import itertools
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import pad, softplus

from bench.distributions.amortised import Encoder, linear_layer
from bench.distributions.base import distributions
from bench.distributions.token_policy import vector_matrix
from bench.numerics.bit_likelihood import bits_log_prob
from bench.numerics.tensors import Tensors
from estimators.traits import Need


class LayeredBits(Distribution):
    """First bits ~ Bernoulli(logits), second bits ~ Bernoulli(weight · first + bias); z is both, `[*batch, 2D]`.

    `logits` and `bias` `[*batch, D]`, `weight` `[*batch, D, D]`.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {  # type: ignore[misc]
        "logits": constraints.real_vector,
        "weight": constraints.independent(constraints.real, 2),
        "bias": constraints.real_vector,
    }
    support = constraints.independent(constraints.boolean, 1)  # type: ignore[assignment]
    has_enumerate_support = True
    offers = frozenset({Need.DENSITY, Need.MODE})
    offers_not = frozenset({Need.MEAN, Need.FACTORISED})

    def __init__(self, logits: Tensor, weight: Tensor, bias: Tensor, validate_args: bool | None = None) -> None:
        self.logits, self.weight, self.bias = logits, weight, bias
        super().__init__(logits.shape[:-1], torch.Size((2 * logits.shape[-1],)), validate_args)

    @torch.no_grad()
    def sample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        noise = torch.rand(
            *sample_shape, *self.batch_shape, *self.event_shape, dtype=self.logits.dtype, device=self.logits.device
        )
        first, second = noise.chunk(2, -1)
        first = (first < self.logits.sigmoid()).to(noise.dtype)
        second = (second < self.second_logits(first).sigmoid()).to(noise.dtype)
        return torch.cat([first, second], -1)

    @property
    def mode(self) -> Tensor:
        """The greedy value: the most probable first bits, then the most probable second bits given these."""
        first = (self.logits > 0).to(self.logits.dtype)
        return torch.cat([first, (self.second_logits(first) > 0).to(first.dtype)], -1).detach()

    def log_prob(self, value: Tensor) -> Tensor:
        first, _ = value.chunk(2, -1)
        logits = torch.cat([self.logits.expand_as(first), self.second_logits(first)], -1)
        return bits_log_prob(value, logits)

    def log_prob_steps(self, value: Tensor) -> Tensor:
        """Returns the log-probability of every bit given the layer before, `[*batch, 2D]`."""
        first, _ = value.chunk(2, -1)
        logits = torch.cat([self.logits.expand_as(first), self.second_logits(first)], -1)
        return value * logits - softplus(logits)

    @property
    def follows(self) -> Tensor:
        """The bits of the second layer (rows) follow those of the first; within a layer none follows another."""
        D = self.logits.shape[-1]
        return pad(self.logits.new_ones(D, D), (0, D, D, 0))

    def second_logits(self, first: Tensor) -> Tensor:
        """Returns the logits of the second layer given the bits of the first."""
        return vector_matrix(first, self.weight.mT) + self.bias

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Returns all 2^(2D) values."""
        both = torch.tensor([0.0, 1.0], dtype=self.logits.dtype, device=self.logits.device)
        table = both[torch.tensor(list(itertools.product((0, 1), repeat=self.event_shape[0])), device=both.device)]
        table = table.reshape(-1, *(1 for _ in self.batch_shape), *self.event_shape)
        return table.expand(-1, *self.batch_shape, -1) if expand else table


@distributions.register("layered_encoder")
@dataclass(frozen=True)
class LayeredEncoder(Encoder):
    """`size` bits per image that depend on its pixels, and `size` more bits that depend on the first ones."""

    used_by = "deep discrete VAEs: two stochastic layers (Mnih, Gregor 2014; Tucker 2017; Dong 2020)"
    discrete = True
    factorised = False
    reparameterised = False

    size: int = 5

    def theta(self, point: str, coordinates: str) -> Tensors:
        second = {f"second_{name}": value for name, value in linear_layer(self.size, self.size, seed=4).items()}
        return self.scaled(linear_layer(self.pixels, self.size, seed=1) | second, point)

    def encode_images(self, pixels: Tensor, theta: Tensors, coordinates: str) -> Tensors:
        first = super().encode_images(pixels, theta, coordinates)["logits"]
        weight, bias = theta["second_weight"], theta["second_bias"]
        return {"logits": first, "weight": weight.expand(self.batch, -1, -1), "bias": bias.expand(self.batch, -1)}

    def build(self, parameters: Tensors) -> Distribution:
        return LayeredBits(**parameters, validate_args=False)
