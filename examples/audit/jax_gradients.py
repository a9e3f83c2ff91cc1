"""Gradients in JAX, audited. Where gradest is installed beside JAX: `gradest audit examples/audit/jax_gradients.py`

Where JAX has its own environment (`make peers` makes .peers/jax), as a command:

    .peers/jax/bin/python examples/audit/jax_gradients.py exact exact.npy
    gradest audit ".peers/jax/bin/python examples/audit/jax_gradients.py {seed} {count} {file}" --exact exact.npy
"""

# pyright: reportMissingImports=false

import sys

import jax
import jax.numpy as jnp
import numpy as np

logits, draws, target = jnp.linspace(-1.0, 1.0, 6), 4, 0.3
p = jax.nn.sigmoid(logits)
exact = np.asarray((1 - 2 * target) * p * (1 - p))  # of E Σ (b − target)²


def surrogate(logits, uniform):
    """The score function with the mean of the other draws as the baseline; its gradient is one estimate."""
    bits = jax.lax.stop_gradient((uniform < jax.nn.sigmoid(logits)).astype(logits.dtype))
    value = jnp.square(bits - target).sum(-1)
    baseline = (value.sum() - value) / (draws - 1)
    log_q = (bits * logits - jax.nn.softplus(logits)).sum(-1)
    return ((value - baseline) * log_q).mean()


gradients = jax.jit(jax.vmap(jax.grad(surrogate), (None, 0)))


def draw(seed, count):
    """Estimates of the gradient in the logits, `[count, 6]`."""
    return gradients(logits, jax.random.uniform(jax.random.key(seed), (count, draws, len(logits))))


if __name__ == "__main__":
    *how, file = sys.argv[1:]
    np.save(file, exact if how == ["exact"] else np.asarray(draw(int(how[0]), int(how[1]))))
