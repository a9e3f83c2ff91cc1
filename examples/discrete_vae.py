"""A discrete VAE on the digits, θ the encoder's weights: `gradest recommend examples/discrete_vae.py`"""

import torch
from sklearn.datasets import load_digits
from torch.distributions import Bernoulli, Independent

from estimators import Evidence

x = (torch.tensor(load_digits(return_X_y=True)[0][:20]) >= 8).float()
torch.manual_seed(0)
decoder = torch.nn.Linear(16, 64).requires_grad_(False)
parameters = {"weight": 0.1 * torch.randn(16, 64), "bias": torch.zeros(16)}


def distribution(p):
    return Independent(Bernoulli(logits=x @ p["weight"].T + p["bias"]), 1)


def log_joint(z):  # log p(x | z) + log p(z), z of shape [..., 20, 16]
    likelihood = Bernoulli(logits=decoder(z), validate_args=False).log_prob(x).sum(-1)
    return likelihood - 16 * torch.tensor(2.0).log()


objective = Evidence(log_joint)
