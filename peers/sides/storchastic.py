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
REPLICATES = {"loop": 16, "plate": 1024}[sys.argv[2]]
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


def case(problem: str, estimator: str, n: int) -> Step:
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

    def step():
        estimates = one((REPLICATES,)) * REPLICATES if PLATE else torch.cat([one(()) for _ in range(REPLICATES)])
        mean = estimates.mean(0)
        return REPLICATES, mean, (estimates - mean).square().sum(0)

    return step


CASES = {
    "bits": [("reinforce", 4), ("rloo", 4), ("arm", 2), ("disarm", 2), ("rebar", 1)],
    "quadratic": [("reinforce", 1), ("reparameterisation", 1)],
    "cosine": [("reinforce", 1), ("reparameterisation", 1)],
}
torch.set_num_threads(1)
torch.manual_seed(0)
serve({f"{p}/{e}": lambda p=p, e=e, n=n: case(p, e, n) for p, es in CASES.items() for e, n in es})
