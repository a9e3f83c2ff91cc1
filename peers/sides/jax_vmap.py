"""JAX: jit(vmap(grad)), noise drawn for all replicates at once, moments inside; the quickest chunk and generator.

threefry2x32 is JAX's default generator, rbg (XLA's Philox) its quicker one, which may differ between versions and
backends. With two devices, each draws and differentiates its own share of a chunk and the moments are merged inside.
A second argument, numbers with commas between them, adds a case for each of these chunks: bits/rloo/4096.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.nn import log_sigmoid, sigmoid, softplus
from protocol import Step, serve

data = {name: jnp.asarray(value) for name, value in np.load(sys.argv[1]).items()}
CHUNKS = {
    "bits": (256, 1024, 4096),
    "quadratic": (256, 1024, 4096),
    "cosine": (256, 1024, 4096),
    "logistic": (64, 256, 1024),
    "vae": (16, 32, 128),
}
GENERATORS = ("threefry2x32", "rbg")
BATCHES = sys.argv[2].split(",") if sys.argv[2:] and sys.argv[2] else []
held = lax.stop_gradient
DEVICES = jax.device_count()


def f_bits(b, *_):
    return jnp.mean((b - 0.499) ** 2, -1)


def f_logistic(z, log_q):
    prior = -0.5 * jnp.sum(z**2, -1) - 15.5 * jnp.log(2 * jnp.pi)
    return jnp.sum(log_sigmoid(z @ data["logistic_x"].T), -1) + prior - log_q


def f_vae(b, log_q):
    logits = b @ data["vae_decoder_weight"].T + data["vae_decoder_bias"]
    return jnp.sum(data["vae_images"] * logits - softplus(logits), -1) - 64 * jnp.log(2.0) - log_q


PROBLEMS = {
    "bits": (lambda theta: theta[0], f_bits, ["bits_logits"]),
    "quadratic": (None, lambda z, _: jnp.sum((z - 1) ** 2, -1), ["quadratic_loc", "quadratic_log_scale"]),
    "cosine": (None, lambda z, _: jnp.sum(jnp.cos(z), -1), ["cosine_loc", "cosine_log_scale"]),
    "logistic": (None, f_logistic, ["logistic_loc", "logistic_log_scale"]),
    "vae": (lambda theta: data["vae_images"] @ theta[0].T + theta[1], f_vae, ["vae_weight", "vae_bias"]),
}


def bits_log_q(b, logits):
    return jnp.sum(b * logits - softplus(logits), -1)


def normal_log_q(z, loc, log_scale):
    return jnp.sum(-0.5 * ((z - loc) * jnp.exp(-log_scale)) ** 2 - log_scale, -1) - loc.size / 2 * jnp.log(2 * jnp.pi)


def scored(value, log_q, leave_one_out):
    value = held(value)
    n = len(value)
    baseline = (jnp.sum(value, 0) - value) / (n - 1) if leave_one_out else 0.0
    return jnp.mean((value - baseline) * log_q)


def of_bits(logits_of, f, leave_one_out):
    def loss(theta, u):
        logits = logits_of(theta)
        b = (u < held(sigmoid(logits))).astype(jnp.float32)
        log_q = bits_log_q(b, logits)
        return scored(f(b, log_q), log_q, leave_one_out)

    return loss


def of_pairs(logits_of, f, factor):
    def loss(theta, u):
        logits = logits_of(theta)
        t, u = held(sigmoid(logits)), u[0]
        b, other = (u < t).astype(jnp.float32), (1 - u < t).astype(jnp.float32)
        difference = f(b, bits_log_q(b, logits)) - f(other, bits_log_q(other, logits))
        slope = held(difference[..., None] * factor(u, b, other, logits))
        return jnp.mean(jnp.sum(slope * logits, -1))

    return loss


def of_normals(f, leave_one_out):
    def loss(theta, noise):
        loc, log_scale = theta
        z = held(loc + jnp.exp(log_scale) * noise)
        log_q = normal_log_q(z, loc, log_scale)
        return scored(f(z, log_q), log_q, leave_one_out)

    return loss


def of_paths(f):
    def loss(theta, noise):
        loc, log_scale = theta
        z = loc + jnp.exp(log_scale) * noise
        return jnp.mean(f(z, normal_log_q(z, loc, log_scale)))

    return loss


def relaxed(logits_of, f, temperature=0.5):
    def loss(theta, u):
        noise = jnp.log(u) - jnp.log1p(-u)
        return jnp.mean(f(sigmoid((logits_of(theta) + noise) / temperature), 0.0))

    return loss


def losses(problem: str):
    logits_of, f, _ = PROBLEMS[problem]
    if logits_of is None:
        return {"reinforce": of_normals(f, False), "rloo": of_normals(f, True), "reparameterisation": of_paths(f)}
    return {
        "reinforce": of_bits(logits_of, f, False),
        "rloo": of_bits(logits_of, f, True),
        "arm": of_pairs(logits_of, f, lambda u, b, other, logits: 0.5 - u),
        "disarm": of_pairs(logits_of, f, lambda u, b, other, logits: (b - other) * sigmoid(jnp.abs(logits)) / 2),
        "gumbel_softmax": relaxed(logits_of, f),
    }


def case(problem: str, estimator: str, n: int, chunks: tuple[int, ...]) -> dict[str, Step]:
    logits_of, _, names = PROBLEMS[problem]
    theta = [data[name] for name in names]
    shape = (20, 64) if problem == "vae" else theta[0].shape
    draw = jax.random.normal if logits_of is None else jax.random.uniform
    gradient = jax.vmap(jax.grad(losses(problem)[estimator]), (None, 0))

    def arranged(replicates: int, generator: str) -> Step:
        def share(key, theta):
            key, own = jax.random.split(key[0])
            found = gradient(theta, draw(own, (replicates, n, *shape)))
            estimates = jnp.concatenate([value.reshape(replicates, -1) for value in found], 1)
            mean = jnp.mean(estimates, 0)
            mean = mean if DEVICES == 1 else lax.pmean(mean, "devices")
            spread = jnp.sum((estimates - mean) ** 2, 0)
            return key[None], mean, spread if DEVICES == 1 else lax.psum(spread, "devices")

        start = jax.random.split(jax.random.key(0, impl=generator), DEVICES)
        if DEVICES == 1:
            whole, keys = jax.jit(share), [start]
        else:
            mesh, each, all_ = jax.make_mesh((DEVICES,), ("devices",)), jax.P("devices"), jax.P()
            whole = jax.jit(jax.shard_map(share, mesh=mesh, in_specs=(each, all_), out_specs=(each, all_, all_)))
            keys = [jax.device_put(start, jax.NamedSharding(mesh, each))]

        def step():
            keys[0], mean, spread = whole(keys[0], theta)
            return DEVICES * replicates, mean, spread

        return step

    where = "" if jax.default_backend() == "cpu" else f", {jax.default_backend()}"
    return {f"{DEVICES * r} at once, {g}{where}": arranged(r, g) for r in chunks for g in GENERATORS}


CASES = {
    "bits": [("reinforce", 4), ("rloo", 4), ("arm", 1), ("disarm", 1), ("gumbel_softmax", 1)],
    "quadratic": [("reinforce", 1), ("reparameterisation", 1)],
    "cosine": [("reinforce", 1), ("reparameterisation", 1)],
    "logistic": [("rloo", 4), ("reparameterisation", 1)],
    "vae": [("reinforce", 1), ("rloo", 2), ("disarm", 1)],
}
serve(
    {
        f"{problem}/{name}{chosen}": lambda problem=problem, name=name, n=n, own=chunks: case(problem, name, n, own)
        for problem, names in CASES.items()
        for name, n in names
        for chosen, chunks in [("", CHUNKS[problem]), *((f"/{chunk}", (int(chunk),)) for chunk in BATCHES)]
    },
    wait=jax.block_until_ready,
)
