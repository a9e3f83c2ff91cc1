"""Plain torch: torch.distributions, one estimate at a time, `.backward()`."""

import sys

import numpy as np
import torch
from protocol import Step, serve
from torch.distributions import Bernoulli, Independent, Normal
from torch.nn.functional import logsigmoid, softplus

data = {name: torch.tensor(value) for name, value in np.load(sys.argv[1]).items()}
REPLICATES = 32
DRAWS = {"reinforce": 1, "rloo": 4}


def bits(theta):
    return Independent(Bernoulli(logits=theta[0]), 1)


def normal(theta):
    return Independent(Normal(theta[0], theta[1].exp()), 1)


def encoded(theta):
    return Independent(Bernoulli(logits=data["vae_images"] @ theta[0].T + theta[1]), 1)


def f_bits(z, q):
    return (z - 0.499).square().mean(-1)


def f_logistic(z, q):
    prior = Normal(0.0, 1.0).log_prob(z).sum(-1)
    return logsigmoid(z @ data["logistic_x"].T).sum(-1) + prior - q.log_prob(z)


def f_vae(z, q):
    logits = z @ data["vae_decoder_weight"].T + data["vae_decoder_bias"]
    likelihood = (data["vae_images"] * logits - softplus(logits)).sum(-1)
    return likelihood - 64 * np.log(2) - q.log_prob(z)


PROBLEMS = {
    "bits": (bits, f_bits, ["bits_logits"]),
    "quadratic": (normal, lambda z, q: (z - 1).square().sum(-1), ["quadratic_loc", "quadratic_log_scale"]),
    "cosine": (normal, lambda z, q: z.cos().sum(-1), ["cosine_loc", "cosine_log_scale"]),
    "logistic": (normal, f_logistic, ["logistic_loc", "logistic_log_scale"]),
    "vae": (encoded, f_vae, ["vae_weight", "vae_bias"]),
}


def score(q, f, n, leave_one_out):
    z = q.sample((n,))
    value = f(z, q).detach()
    baseline = (value.sum(0) - value) / (n - 1) if leave_one_out else 0.0
    return ((value - baseline) * q.log_prob(z)).mean()


def pathwise(q, f, n):
    return f(q.rsample((n,)), q).mean()


def disarm(q, f):
    logits = q.base_dist.logits
    t = logits.detach().sigmoid()
    u = torch.rand_like(t)
    b, other = (u < t).float(), (1 - u < t).float()
    with torch.no_grad():
        slope = (f(b, q) - f(other, q)).unsqueeze(-1) * (b - other) * logits.abs().sigmoid() / 2
    return (slope * logits).sum(-1).mean()


def arm(q, f):
    logits = q.base_dist.logits
    t = logits.detach().sigmoid()
    u = torch.rand_like(t)
    b, other = (u < t).float(), (1 - u < t).float()
    with torch.no_grad():
        slope = (f(b, q) - f(other, q)).unsqueeze(-1) * (0.5 - u)
    return (slope * logits).sum(-1).mean()


LOSSES = {
    "reinforce": lambda q, f, n: score(q, f, n, False),
    "rloo": lambda q, f, n: score(q, f, n, True),
    "reparameterisation": pathwise,
    "disarm": lambda q, f, n: disarm(q, f),
    "arm": lambda q, f, n: arm(q, f),
}


def case(problem: str, estimator: str, n: int) -> dict[str, Step]:
    build, f, names = PROBLEMS[problem]
    theta = [data[name].clone().requires_grad_() for name in names]

    def one():
        for value in theta:
            value.grad = None
        LOSSES[estimator](build(theta), f, n).backward()
        return torch.cat([value.grad.flatten() for value in theta])

    def step():
        estimates = torch.stack([one() for _ in range(REPLICATES)])
        mean = estimates.mean(0)
        return REPLICATES, mean, (estimates - mean).square().sum(0)

    return {"one at a time": step}


CASES = {
    "bits": [("reinforce", 4), ("rloo", 4), ("arm", 2), ("disarm", 2)],
    "quadratic": [("reinforce", 1), ("reparameterisation", 1)],
    "cosine": [("reinforce", 1), ("reparameterisation", 1)],
    "logistic": [("rloo", 4), ("reparameterisation", 1)],
    "vae": [("reinforce", 1), ("rloo", 2), ("disarm", 2)],
}
torch.set_num_threads(1)
torch.manual_seed(0)
serve(
    {
        f"{problem}/{name}": lambda problem=problem, name=name, n=n: case(problem, name, n)
        for problem, names in CASES.items()
        for name, n in names
    }
)
