"""A posterior trained on minibatches: `gradest recommend examples/minibatch_posterior.py`

The bound on a random minibatch is a noisy objective, whose mean is the bound on all data.
"""

import torch
from sklearn.datasets import load_diabetes
from torch.distributions import Independent, Normal

from estimators import Evidence

features, target = load_diabetes(return_X_y=True)
x, y = torch.tensor(features).float() * 20, torch.tensor(target).float()
y = (y - y.mean()) / y.std()
parameters = {"loc": torch.zeros(10), "log_scale": torch.full((10,), -3.0)}
noisy = "step"  # one minibatch for each training step, which all its draws see


def distribution(p):
    return Independent(Normal(p["loc"], p["log_scale"].exp()), 1)


def log_joint(w):  # w of shape [..., 10]
    batch = torch.randint(len(y), (32,))
    error = (y[batch] - w @ x[batch].T).square().sum(-1)
    return -0.5 * w.square().sum(-1) - len(y) / 32 * error


objective = Evidence(log_joint)
