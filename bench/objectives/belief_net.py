"""The evidence lower bound of a sigmoid belief net with two stochastic layers on real digits."""

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from bench.distributions.amortised import linear_layer
from bench.distributions.base import Family
from bench.distributions.layered import LayeredEncoder
from bench.numerics.bit_likelihood import bits_log_prob
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target, objectives
from estimators.core import Evidence, Objective


@objectives.register("belief_net")
@dataclass(frozen=True)
class BeliefNet(Target):
    """log p(x | z₁) + log p(z₁ | z₂) + log p(z₂) − log q(z₁, z₂ | x), per image; the net is untrained and constant.

    p(z₂) is uniform, p(z₁ | z₂) and p(x | z₁) Bernoulli with linear logits. Exact by enumeration up to 8 bits a layer.
    """

    used_by = "deep discrete latent-variable models (Neal 1992; Mnih, Gregor 2014; Tucker 2017)"

    def fits(self, family: Family) -> str | None:
        return None if isinstance(family, LayeredEncoder) else "has two layers of bits, as layered_encoder gives"

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        assert isinstance(family, LayeredEncoder)
        x = family.images().to(like)
        upper = {name: value.to(like) for name, value in linear_layer(family.size, family.size, seed=5).items()}
        lower = {name: value.to(like) for name, value in linear_layer(family.size, family.pixels, seed=2).items()}
        return Evidence(lambda z: log_joint(z, x, upper, lower))


def log_joint(
    z: Float[Tensor, "*sample batch bits"], x: Float[Tensor, "batch pixels"], upper: Tensors, lower: Tensors
) -> Tensor:
    """Returns log p(x, z₁, z₂), `[*sample, batch]`; differentiable in z, also between 0 and 1."""
    first, second = z.chunk(2, -1)
    return bernoulli(first, second, upper) + bernoulli(x, first, lower) - second.shape[-1] * math.log(2)


def bernoulli(value: Tensor, given: Tensor, layer: Tensors) -> Tensor:
    """Returns log p(value | given) of bits whose logits are linear in `given`."""
    logits = given @ layer["weight"].T + layer["bias"]
    return bits_log_prob(value, logits)
