"""Independent bits."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent
from torch.nn.functional import softplus

from bench.distributions.base import Family, distributions
from bench.numerics.bit_likelihood import bits_log_prob
from bench.numerics.tensors import Tensors
from estimators.tools.distinct import distinct


class Bernoulli(torch.distributions.Bernoulli):
    """torch's Bernoulli with a faster sampler and log-density.

    `rand < p` takes a third of `torch.bernoulli`'s time; b·l − softplus(l) needs one softplus per
    parameter, not one per sample.
    """

    offers_as = torch.distributions.Bernoulli

    def sample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        with torch.no_grad():
            probs = distinct(self.logits).sigmoid()
            shape = self._extended_shape(torch.Size(sample_shape))
            return (torch.rand(shape, dtype=probs.dtype, device=probs.device) < probs).to(probs.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        return value * self.logits - softplus(self.logits)


class IndependentBits(Independent):
    """A vector of independent bits along the last axis; `base_dist` is `Bernoulli`."""

    def log_prob(self, value: Tensor) -> Tensor:
        return bits_log_prob(value, self.base_dist.logits)


@distributions.register("bernoulli")
@dataclass(frozen=True)
class BernoulliFamily(Family):
    """`size` independent bits; θ is their logits, or their probabilities in natural coordinates.

    `extreme`: logits from −6.2 to 5.8.
    """

    used_by = "discrete VAEs, sigmoid belief networks, feature and architecture selection"
    discrete = True
    reparameterised = False
    points = ("default", "extreme")
    values = "bits"

    def theta(self, point: str, coordinates: str) -> Tensors:
        low, high = {"default": (-1.1, 1.0), "extreme": (-6.2, 5.8)}[point]
        logits = torch.linspace(low, high, self.size, dtype=torch.float64)
        return {"logits": logits} if coordinates == "unconstrained" else {"probs": logits.sigmoid()}

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        return theta if coordinates == "unconstrained" else {"logits": theta["probs"].logit()}

    def build(self, parameters: Tensors) -> Distribution:
        return IndependentBits(self.marginals(parameters), 1, validate_args=False)

    def marginals(self, parameters: Tensors) -> Distribution:
        return Bernoulli(logits=parameters["logits"], validate_args=False)

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        shape = parameters["logits"].shape
        both = torch.tensor([0.0, 1.0], dtype=torch.float64).reshape(2, *(1 for _ in shape)).expand(2, *shape)
        return both, torch.ones_like(both)
