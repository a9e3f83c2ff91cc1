"""A model with two independent groups, bits and Normals, as a dict: `gradest recommend examples/two_groups.py`

Sparse regression: a bit switches each of 10 weights on or off, and its size is Normal; an estimator for each group.
"""

import torch
from sklearn.datasets import load_diabetes
from torch.distributions import Bernoulli, Independent, Normal

from estimators import JointFunction

x, y = (torch.tensor(each, dtype=torch.float32) for each in load_diabetes(return_X_y=True))
x, y = 20 * x, (y - y.mean()) / y.std()
parameters = {"on": torch.zeros(10), "loc": torch.zeros(10), "log_scale": torch.full((10,), -2.0)}


def distribution(p):
    return {
        "on": Independent(Bernoulli(logits=p["on"]), 1),
        "size": Independent(Normal(p["loc"], p["log_scale"].exp()), 1),
    }


def log_joint(z):  # log p(on) + log p(size) + log p(y | weights), both of shape [..., 10]
    prior = Bernoulli(0.2).log_prob(z["on"]).sum(-1) + Normal(0.0, 1.0).log_prob(z["size"]).sum(-1)
    return prior + Normal((z["on"] * z["size"]) @ x.T, 0.7).log_prob(y).sum(-1)


objective = JointFunction(log_joint, evidence=True)
