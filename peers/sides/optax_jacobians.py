"""optax's Monte Carlo gradients of a diagonal Normal, jitted; each sample's row is one estimate."""

import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np
from optax import monte_carlo
from optax._src.utils import multi_normal
from protocol import Step, serve

warnings.simplefilter("ignore")
data = {name: jnp.asarray(value) for name, value in np.load(sys.argv[1]).items()}
FUNCTIONS = {"quadratic": lambda x: jnp.sum((x - 1) ** 2), "cosine": lambda x: jnp.sum(jnp.cos(x))}
WAYS = {
    "reinforce": monte_carlo.score_function_jacobians,
    "reparameterisation": monte_carlo.pathwise_jacobians,
    "measure_valued": monte_carlo.measure_valued_jacobians,
}


def case(problem: str, estimator: str) -> dict[str, Step]:
    theta = [data[f"{problem}_loc"], data[f"{problem}_log_scale"]]

    def arranged(replicates: int, generator: str) -> Step:
        keys = [jax.random.key(0, impl=generator)]

        @jax.jit
        def whole(key):
            key, own = jax.random.split(key)
            found = WAYS[estimator](FUNCTIONS[problem], theta, multi_normal, own, replicates)
            estimates = jnp.concatenate(found, 1)
            mean = jnp.mean(estimates, 0)
            return key, mean, jnp.sum((estimates - mean) ** 2, 0)

        def step():
            keys[0], mean, spread = whole(keys[0])
            return replicates, mean, spread

        return step

    return {f"{r} at once, {g}": arranged(r, g) for r in (64, 512) for g in ("threefry2x32", "rbg")}


serve(
    {f"{p}/{e}": lambda p=p, e=e: case(p, e) for p in FUNCTIONS for e in WAYS},
    wait=jax.block_until_ready,
)
