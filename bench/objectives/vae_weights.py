"""The bound of a VAE with a learned decoder: θ is the weights of both encoder and decoder."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from bench.distributions.base import Family
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target, objectives
from bench.objectives.minibatch import Index, Minibatches, minibatches
from bench.objectives.vae import LATENTS, DigitsVae, bound, encoder, log_joint
from estimators.core import Evidence, Objective
from estimators.tools.parameters import states

PREFIX = "decoder_"
MAX_STATES = 2**12


class Decoded(Evidence):
    """log p(x, z) − log q(z) at given decoder weights, which may have leading axes; `at` replaces the weights."""

    def __init__(self, joint: Callable[[Tensor, Tensors], Tensor], weights: Tensors) -> None:
        self.joint = joint
        super().__init__(lambda z: joint(z, weights))

    def at(self, weights: Tensors) -> "Decoded":
        """Returns this function at other weights."""
        moved = copy(self)
        moved.log_joint = lambda z: self.joint(z, weights)
        return moved


@objectives.register("digits_vae_weights")
@dataclass(frozen=True)
class DigitsVaeWeights(Target):
    """The bound of `digits_vae`, with the decoder's weights in θ beside the encoder's.

    In the decoder's weights a surrogate's gradient is plain Monte Carlo, whatever the estimator does in the encoder's;
    a baseline or a coupling affects it too. Up to 4,096 latent values are enumerated. With a linear decoder the
    gradient is exact for any number of latents.
    """

    used_by = "training any VAE: one backward pass gives both gradients (Kingma, Welling 2014; Mnih, Gregor 2014)"
    points = ("start", "trained")

    hidden: int = 0

    @property
    def fixed(self) -> DigitsVae:
        """The model with a constant decoder."""
        return DigitsVae(self.hidden)

    def fits(self, family: Family) -> str | None:
        reason = self.fixed.fits(family)
        if reason or not self.hidden:
            return reason
        if family.name == "normal_encoder":
            return "has an exact gradient for Normal latents with a linear decoder only"
        if few_states(family):
            return None
        return f"enumerates at most {MAX_STATES:,} values of the latents where the decoder has a hidden layer"

    def theta(self, family: Family, point: str) -> Tensors | None:
        return self.fixed.theta(family, point)

    def weights(self, family: Family, point: str) -> Tensors:
        return {f"{PREFIX}{name}": value for name, value in self.fixed.decoder(family, point).items()}

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        x, latents = encoder(family).images().to(like), LATENTS[family.name]
        weights = {name: value.to(like) for name, value in self.weights(family, point).items()}
        return Decoded(lambda z, weights: log_joint(z, x, bare(weights), latents), weights)

    def expectation(
        self, family: Family, point: str, parameters: Tensors, level: int = 0
    ) -> Float[Tensor, "*leading batch"] | None:
        if self.hidden or few_states(family):
            return None
        own = {name: value for name, value in parameters.items() if name.startswith(PREFIX)}
        return bound(parameters, encoder(family).images(), bare(own), LATENTS[family.name], level)


def few_states(family: Family) -> bool:
    """Whether an image's latents have few values, which are enumerated."""
    theta = family.theta("default", "unconstrained")
    count = states(family.build(family.encode(theta, "unconstrained")))
    return count is not None and count <= MAX_STATES


def bare(weights: Tensors) -> Tensors:
    """Returns the decoder's weights without the prefix in their names."""
    return {name.removeprefix(PREFIX): value for name, value in weights.items()}


@minibatches.register
def _(target: DigitsVaeWeights, family: Family, point: str, like: Tensor) -> Minibatches:
    """The bound of some of the images; the target is the mean over images."""
    x, latents = encoder(family).images().to(like), LATENTS[family.name]
    weights = {name: value.to(like) for name, value in target.weights(family, point).items()}

    def at(index: Index) -> Objective:
        return Decoded(lambda z, weights: log_joint(z, x[index], bare(weights), latents), weights)

    return Minibatches(len(x), at, of_parameters=True)
