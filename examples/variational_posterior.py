"""A variational posterior of a logistic regression: `gradest recommend examples/variational_posterior.py`"""

import torch
from sklearn.datasets import load_breast_cancer
from torch.distributions import Independent, Normal

from estimators import Evidence

features, labels = load_breast_cancer(return_X_y=True)
x = torch.nn.functional.normalize(torch.tensor(features).float(), dim=0) * 20
sign = 2.0 * torch.tensor(labels) - 1
parameters = {"loc": torch.zeros(30), "log_scale": torch.full((30,), -1.0)}


def distribution(p):
    return Independent(Normal(p["loc"], p["log_scale"].exp()), 1)


def log_joint(w):  # w of shape [..., 30]
    prior = -0.5 * w.square().sum(-1)
    return prior + torch.nn.functional.logsigmoid(sign * (w @ x.T)).sum(-1)


objective = Evidence(log_joint)
