"""A VAE with two layers, bits and then Normals given the bits: `gradest recommend examples/two_layer_vae.py`"""

import torch
from sklearn.datasets import load_digits
from torch.distributions import Bernoulli, Independent, Normal

from estimators import JointFunction

x = (torch.tensor(load_digits(return_X_y=True)[0][:20]) >= 8).float()
torch.manual_seed(0)
below, decoder = torch.nn.Linear(3, 8).requires_grad_(False), torch.nn.Linear(8, 64).requires_grad_(False)
parameters = {"encoder": 0.1 * torch.randn(8, 64), "top": 0.1 * torch.randn(3, 8), "log_scale": torch.zeros(3)}


def distribution(p):  # the second variable is a function of the draws before it
    bits = Independent(Bernoulli(logits=x @ p["encoder"].T), 1)
    return {"bits": bits, "top": lambda z: Independent(Normal(z["bits"] @ p["top"].T, p["log_scale"].exp()), 1)}


def log_joint(z):  # log p(top) + log p(bits | top) + log p(x | bits), bits of shape [..., 20, 8], top [..., 20, 3]
    prior = Normal(0.0, 1.0).log_prob(z["top"]).sum(-1)
    middle = Bernoulli(logits=below(z["top"]), validate_args=False).log_prob(z["bits"]).sum(-1)
    return prior + middle + Bernoulli(logits=decoder(z["bits"])).log_prob(x).sum(-1)


objective = JointFunction(log_joint, evidence=True)
