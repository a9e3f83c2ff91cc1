"""A discrete VAE whose encoder is a network, an nn.Module: `gradest recommend examples/vae_network.py`

The best estimator may change while it trains: `gradest recommend examples/vae_network.py --along 500`
"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.distributions import Bernoulli, Independent

from estimators import Evidence

x = (torch.tensor(load_digits(return_X_y=True)[0][:20]) >= 8).float()
torch.manual_seed(0)
decoder = nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 64)).requires_grad_(False)
parameters = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 16))  # the encoder


def distribution(encoder):
    return Independent(Bernoulli(logits=encoder(x)), 1)


def log_joint(z):  # log p(x | z) + log p(z), z of shape [..., 20, 16]
    likelihood = Bernoulli(logits=decoder(z), validate_args=False).log_prob(x).sum(-1)
    return likelihood - 16 * torch.tensor(2.0).log()


objective = Evidence(log_joint)
