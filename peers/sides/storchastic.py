"""Storchastic: one estimate at a time (`loop`), or replicates as an independent plate (`plate`)."""

import sys

import numpy as np
import storch
import torch
from protocol import Step, serve
from storch.method import ARM, REBAR, DisARM, Reparameterization, ScoreFunction
from torch.distributions import Bernoulli, Normal

data = {name: torch.tensor(value) for name, value in np.load(sys.argv[1]).items()}
PLATE = sys.argv[2] == "plate"
REPLICATES = (256, 1024) if PLATE else (16,)
NAMES = {"bits": ["bits_logits"]} | {p: [f"{p}_loc", f"{p}_log_scale"] for p in ("quadratic", "cosine")}
COSTS = {
    "bits": lambda z: (z - 0.499).square().mean(-1),
    "quadratic": lambda z: (z - 1).square().sum(-1),
    "cosine": lambda z: z.cos().sum(-1),
}
METHODS = {
    "reinforce": lambda n: ScoreFunction("z", n_samples=n),
    "rloo": lambda n: ScoreFunction("z", n_samples=n, baseline_factory="batch_average"),
    "reparameterisation": lambda n: Reparameterization("z", n_samples=n),
    "arm": lambda n: ARM("z", n_samples=n // 2),
    "disarm": lambda n: DisARM("z", n_samples=n // 2),
    "rebar": lambda n: REBAR("z", n_samples=n),
}


def arranged(many) -> dict[str, Step]:
    """A step of each size, of a function that makes so many estimates."""

    def sized(replicates: int) -> Step:
        def step():
            estimates = many(replicates)
            mean = estimates.mean(0)
            return replicates, mean, (estimates - mean).square().sum(0)

        return step

    return {f"{r} at once" if PLATE else "one at a time": sized(r) for r in REPLICATES}


def case(problem: str, estimator: str, n: int) -> dict[str, Step]:
    names, cost = NAMES[problem], COSTS[problem]

    def gradients(theta):
        storch.reset()
        given = [storch.denote_independent(value, 0, "replicates") for value in theta] if PLATE else theta
        q = Bernoulli(logits=given[0]) if problem == "bits" else Normal(given[0], given[1].exp())
        z = METHODS[estimator](n)(q)
        storch.add_cost(cost(z), "f")
        storch.backward()
        return torch.cat([value.grad.detach().reshape(len(value) if PLATE else 1, -1) for value in theta], 1)

    def one(shape):
        return gradients([data[name].expand(*shape, -1).clone().requires_grad_() for name in names])

    def many(replicates: int):
        return one((replicates,)) * replicates if PLATE else torch.cat([one(()) for _ in range(replicates)])

    return arranged(many)


def vae() -> dict[str, Step]:
    """REINFORCE of the bound, which is a mean over the images: those are a plate of their own, estimates a loop."""
    weight, bias = data["vae_weight"].clone().requires_grad_(), data["vae_bias"].clone().requires_grad_()
    log_prior = -64 * np.log(2)

    def one():
        storch.reset()
        weight.grad = bias.grad = None
        images = storch.denote_independent(data["vae_images"], 0, "images")
        q = Bernoulli(logits=images @ weight.T + bias)
        b = ScoreFunction("b", n_samples=1)(q)
        logits = b @ data["vae_decoder_weight"].T + data["vae_decoder_bias"]
        likelihood = (images * logits - torch.nn.functional.softplus(logits)).sum(-1)
        storch.add_cost(likelihood + log_prior - q.log_prob(b).sum(-1).detach(), "bound")
        storch.backward()
        return torch.cat([weight.grad.flatten(), bias.grad])

    return arranged(lambda replicates: torch.stack([one() for _ in range(replicates)]))


CASES = {
    "bits": [("reinforce", 4), ("rloo", 4), ("arm", 2), ("disarm", 2), ("rebar", 1)],
    "quadratic": [("reinforce", 1), ("reparameterisation", 1)],
    "cosine": [("reinforce", 1), ("reparameterisation", 1)],
}
torch.manual_seed(0)
served = {f"{p}/{e}": lambda p=p, e=e, n=n: case(p, e, n) for p, es in CASES.items() for e, n in es}
serve(served if PLATE else served | {"vae/reinforce": vae})
