"""numpyro: jit of vmap of the gradient of its evidence lower bound; the quickest chunk and generator."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import Trace_ELBO, TraceGraph_ELBO
from protocol import Step, serve

data = {name: jnp.asarray(value) for name, value in np.load(sys.argv[1]).items()}


def logistic_model(theta):
    z = numpyro.sample("z", dist.Normal(jnp.zeros(31), 1.0).to_event(1))
    numpyro.factor("likelihood", jnp.sum(jax.nn.log_sigmoid(data["logistic_x"] @ z)))


def logistic_guide(theta):
    numpyro.sample("z", dist.Normal(theta[0], jnp.exp(theta[1])).to_event(1))


def vae_model(theta):
    with numpyro.plate("images", 20):
        b = numpyro.sample("b", dist.Bernoulli(logits=jnp.zeros(64)).to_event(1))
        logits = b @ data["vae_decoder_weight"].T + data["vae_decoder_bias"]
        numpyro.sample("x", dist.Bernoulli(logits=logits).to_event(1), obs=data["vae_images"])


def vae_guide(theta):
    with numpyro.plate("images", 20):
        logits = data["vae_images"] @ theta[0].T + theta[1]
        numpyro.sample("b", dist.Bernoulli(logits=logits).to_event(1))


PROBLEMS = {
    "logistic/reparameterisation": (
        Trace_ELBO(),
        logistic_model,
        logistic_guide,
        ["logistic_loc", "logistic_log_scale"],
        1,
        (64, 256, 1024),
    ),
    "vae/reinforce": (TraceGraph_ELBO(), vae_model, vae_guide, ["vae_weight", "vae_bias"], 20, (16, 32, 128)),
}
"""Bound, model, guide, θ, what the bound is divided by, and the chunks to choose from."""


def case(name: str) -> dict[str, Step]:
    bound, model, guide, names, images, chunks = PROBLEMS[name]
    theta = [data[entry] for entry in names]

    def loss(theta, key):
        return -bound.loss(key, {}, model, guide, theta) / images

    gradient = jax.vmap(jax.grad(loss), (None, 0))

    def arranged(replicates: int, generator: str) -> Step:
        keys = [jax.random.key(0, impl=generator)]

        @jax.jit
        def whole(key, theta):
            key, own = jax.random.split(key)
            found = gradient(theta, jax.random.split(own, replicates))
            estimates = jnp.concatenate([value.reshape(replicates, -1) for value in found], 1)
            mean = jnp.mean(estimates, 0)
            return key, mean, jnp.sum((estimates - mean) ** 2, 0)

        def step():
            keys[0], mean, spread = whole(keys[0], theta)
            return replicates, mean, spread

        return step

    return {f"{r} at once, {g}": arranged(r, g) for r in chunks for g in ("threefry2x32", "rbg")}


serve({name: lambda name=name: case(name) for name in PROBLEMS}, wait=jax.block_until_ready)
