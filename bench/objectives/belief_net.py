"""The evidence lower bound of a sigmoid belief net with two stochastic layers on real digits."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from bench.distributions.amortised import linear_layer
from bench.distributions.base import Family
from bench.distributions.layered import LayeredEncoder
from bench.numerics.bit_likelihood import bits_log_prob
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target, objectives
from estimators.core import Objective
from estimators.evidence_terms import EvidenceTerms


@objectives.register("belief_net")
@dataclass(frozen=True)
class BeliefNet(Target):
    """log p(x | z₁) + log p(z₁ | z₂) + log p(z₂) − log q(z₁, z₂ | x), per image; the net is untrained and constant.

    p(z₂) is uniform, p(z₁ | z₂) and p(x | z₁) Bernoulli with linear logits. There is a term for p(x | z₁), for every
    bit of z₁ given z₂, and for every step of q. Exact by enumeration up to 8 bits a layer.
    """

    used_by = "deep discrete latent-variable models (Neal 1992; Mnih, Gregor 2014; Tucker 2017)"

    def fits(self, family: Family) -> str | None:
        return None if isinstance(family, LayeredEncoder) else "has two layers of bits, as layered_encoder gives"

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        assert isinstance(family, LayeredEncoder)
        x = family.images().to(like)
        upper = {name: value.to(like) for name, value in linear_layer(family.size, family.size, seed=5).items()}
        lower = {name: value.to(like) for name, value in linear_layer(family.size, family.pixels, seed=2).items()}
        D = family.size
        depends = torch.zeros(1 + D, 2 * D, device=like.device, dtype=like.dtype)
        depends[0, :D] = 1  # p(x | z₁)
        depends[1:] = torch.cat([torch.eye(D), torch.ones(D, D)], 1)
        return EvidenceTerms(lambda z: factors(z, x, upper, lower), depends)


def factors(
    z: Float[Tensor, "*sample batch bits"], x: Float[Tensor, "batch pixels"], upper: Tensors, lower: Tensors
) -> Float[Tensor, "*sample batch factors"]:
    """Returns log p(x | z₁) p(z₂), and log p of every bit of z₁ given z₂; differentiable in z, also between 0 and 1."""
    first, second = z.chunk(2, -1)
    image = bits_log_prob(x, linear_logits(first, lower)) - second.shape[-1] * math.log(2)
    logits = linear_logits(second, upper)
    return torch.cat([image.unsqueeze(-1), first * logits - softplus(logits)], -1)


def linear_logits(given: Tensor, layer: Tensors) -> Tensor:
    """Returns logits that are linear in the layer before."""
    return given @ layer["weight"].T + layer["bias"]
