"""Pyro: its evidence lower bound with replicates as a plate, or one estimate at a time (`loop`)."""

import sys

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from protocol import Step, serve
from pyro.infer import Trace_ELBO
from torch.nn.functional import logsigmoid

data = {name: torch.tensor(value) for name, value in np.load(sys.argv[1]).items()}
PLATE = sys.argv[2] == "plate"


def logistic(theta):
    """Model and guide of the logistic regression; θ is loc and log_scale, `[R, 31]`."""
    loc, log_scale = theta

    def model():
        with pyro.plate("replicates", len(loc)):
            z = pyro.sample("z", dist.Normal(torch.zeros(31), 1.0).to_event(1))
            pyro.factor("likelihood", logsigmoid(z @ data["logistic_x"].T).sum(-1))

    def guide():
        with pyro.plate("replicates", len(loc)):
            pyro.sample("z", dist.Normal(loc, log_scale.exp()).to_event(1))

    return model, guide


def vae(theta):
    """Model and guide of the VAE; θ is the encoder's weight `[R, 64, 64]` and bias; the bound is a mean over images."""
    weight, bias = theta
    images = data["vae_images"]

    def plates():
        return pyro.plate("replicates", len(weight), dim=-2), pyro.plate("images", len(images), dim=-1)

    def model():
        replicates, each = plates()
        with replicates, each:
            b = pyro.sample("b", dist.Bernoulli(logits=torch.zeros(64)).to_event(1))
            logits = b @ data["vae_decoder_weight"].T + data["vae_decoder_bias"]
            pyro.sample("x", dist.Bernoulli(logits=logits).to_event(1), obs=images.expand(len(weight), -1, -1))

    def guide():
        replicates, each = plates()
        with replicates, each:
            pyro.sample("b", dist.Bernoulli(logits=images @ weight.mT + bias.unsqueeze(-2)).to_event(1))

    return model, guide


PROBLEMS = {
    "logistic/reparameterisation": (logistic, ["logistic_loc", "logistic_log_scale"], 1, (64, 512)),
    "vae/reinforce": (vae, ["vae_weight", "vae_bias"], 20, (16, 64)),
}
"""Model and guide, θ, what the bound is divided by, and the plates to choose from."""


def case(name: str) -> dict[str, Step]:
    posed, names, images, plates = PROBLEMS[name]
    bound = Trace_ELBO()

    def gradients(count):
        theta = [data[entry].expand(count, *data[entry].shape).clone().requires_grad_() for entry in names]
        loss = -bound.differentiable_loss(*posed(theta)) / images
        return torch.cat([value.flatten(1) for value in torch.autograd.grad(loss, theta)], 1)

    def arranged(replicates: int) -> Step:
        def step():
            estimates = gradients(replicates) if PLATE else torch.cat([gradients(1) for _ in range(replicates)])
            mean = estimates.mean(0)
            return replicates, mean, (estimates - mean).square().sum(0)

        return step

    return {f"{r} at once": arranged(r) for r in plates} if PLATE else {"one at a time": arranged(16)}


torch.manual_seed(0)
pyro.enable_validation(False)
serve({name: lambda name=name: case(name) for name in PROBLEMS})
