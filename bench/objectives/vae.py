"""The evidence lower bound of a VAE on real images, with bits, one-hot variables or Normals as latents."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bench.data.trained import load
from bench.distributions.amortised import Encoder, linear_layer
from bench.distributions.base import Family
from bench.numerics.bit_likelihood import bits_log_prob
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target, objectives
from bench.objectives.latents import Bits, Latents, Normals, OneHots
from bench.objectives.minibatch import Minibatches, minibatches
from estimators.core import Evidence, Objective
from estimators.errors import BadInput

LATENTS: dict[str, Latents] = {
    "bernoulli_encoder": Bits(),
    "categorical_encoder": OneHots(),
    "normal_encoder": Normals(),
}


@objectives.register("digits_vae")
@dataclass(frozen=True)
class DigitsVae(Target):
    """log p(x | z) + log p(z) − log q(z | x), per binarised image; the prior of z is uniform or standard Normal.

    The decoder is linear, or has one layer of `hidden` tanh units; its weights are constants here. Points: `start`
    is a fresh encoder and decoder; `trained` is the same model after training. With a linear decoder the expectation is
    exact for any number of latents (see `bench.numerics.expected_softplus`; with Normal latents each pixel's logit is
    Normal). With a hidden layer, up to 12 bits are enumerated.
    """

    used_by = "VAEs (Kingma, Welling 2014; Mnih, Gregor 2014; Jang 2017; Tucker 2017; Dong 2020)"
    points = ("start", "trained")

    hidden: int = 0

    def fits(self, family: Family) -> str | None:
        return None if family.name in LATENTS else "decodes an encoder's latents"

    def theta(self, family: Family, point: str) -> Tensors | None:
        if point == "trained":
            return {name: value for name, value in self.trained(family).items() if not name.startswith("decoder_")}
        return family.theta("default", family.coordinates[0]) if point == "start" else None

    def trained(self, family: Family) -> Tensors:
        """Returns all weights after training; the decoder's names start with `decoder_`.

        Raises BadInput if the model was trained with an encoder of another shape.
        """
        if encoder(family).hidden_units:
            raise BadInput(f"{self.label} was trained with a linear encoder, not one with hidden units")
        saved = load(self.label, family.name, family.size, "trained")
        found, expected = tuple(saved["weight"].shape), (encoder(family).outputs, encoder(family).pixels)
        if found != expected:
            raise BadInput(f"{self.label} was trained with an encoder of shape {found}, not {expected}")
        return saved

    @property
    def label(self) -> str:
        """Name of the model among the committed points."""
        return f"{self.name}_hidden_{self.hidden}" if self.hidden else self.name

    def decoder(self, family: Family, point: str) -> Tensors:
        """Returns `weight` and `bias`, and with a hidden layer `hidden_weight` and `hidden_bias`."""
        if point == "trained":
            saved = self.trained(family)
            return {name.removeprefix("decoder_"): saved[name] for name in saved if name.startswith("decoder_")}
        return fresh_decoder(encoder(family), self.hidden)

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        x, latents = encoder(family).images().to(like), LATENTS[family.name]
        weights = {name: value.to(like) for name, value in self.decoder(family, point).items()}
        return Evidence(lambda z: log_joint(z, x, weights, latents))

    def expectation(
        self, family: Family, point: str, parameters: Tensors, level: int = 0
    ) -> Float[Tensor, "*leading batch"] | None:
        if self.hidden:
            return None
        return bound(parameters, encoder(family).images(), self.decoder(family, point), LATENTS[family.name], level)


def encoder(family: Family) -> Encoder:
    """Returns the family as an `Encoder`; `fits` has checked that it is one."""
    assert isinstance(family, Encoder)
    return family


def fresh_decoder(family: Encoder, hidden: int) -> Tensors:
    """Returns a decoder's weights before training."""
    if not hidden:
        return linear_layer(family.inputs, family.pixels, seed=2)
    between = {f"hidden_{name}": value for name, value in linear_layer(family.inputs, hidden, seed=3).items()}
    return linear_layer(hidden, family.pixels, seed=2) | between


def pixel_logits(z: Float[Tensor, "*sample inputs"], decoder: Tensors) -> Float[Tensor, "*sample pixels"]:
    """Returns the decoder's output; its weights may have leading axes, which come before the data axes."""
    if "hidden_weight" in decoder:
        z = torch.tanh(z @ decoder["hidden_weight"].mT + decoder["hidden_bias"].unsqueeze(-2))
    return z @ decoder["weight"].mT + decoder["bias"].unsqueeze(-2)


def log_joint(z: Tensor, x: Float[Tensor, "*batch pixels"], decoder: Tensors, latents: Latents) -> Tensor:
    """Returns log p(x | z) + log p(z), `[*sample, batch]`; differentiable in z, also between discrete values."""
    logits = pixel_logits(latents.flat(z), decoder)
    return bits_log_prob(x, logits) + latents.log_prior(z)


def bound(
    parameters: Tensors, x: Float[Tensor, "batch pixels"], decoder: Tensors, latents: Latents, level: int = 0
) -> Float[Tensor, "*leading batch"]:
    """Returns each image's evidence lower bound under a linear decoder, differentiable in q's parameters."""
    weight, bias = decoder["weight"], decoder["bias"]
    mean_logits = latents.mean(parameters) @ weight.T + bias
    likelihood = (x * mean_logits).sum(-1) - latents.mean_softplus(parameters, weight, bias, level)
    return likelihood - latents.divergence(parameters)


@minibatches.register
def _(target: DigitsVae, family: Family, point: str, like: Tensor) -> Minibatches:
    """The bound of some of the images; the target is the mean over images."""
    x, latents = encoder(family).images().to(like), LATENTS[family.name]
    weights = {name: value.to(like) for name, value in target.decoder(family, point).items()}
    return Minibatches(
        len(x), lambda index: Evidence(lambda z: log_joint(z, x[index], weights, latents)), of_parameters=True
    )
