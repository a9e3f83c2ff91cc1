"""A Normal posterior with a full covariance, of a linear regression: `gradest recommend examples/full_covariance.py`"""

import torch
from sklearn.datasets import load_diabetes
from torch.distributions import MultivariateNormal

from estimators import Evidence

x, y = (torch.tensor(each).float() for each in load_diabetes(return_X_y=True))
x, y = 20 * x, (y - y.mean()) / y.std()
size = x.shape[1]
parameters = {"loc": torch.zeros(size), "raw": torch.zeros(size, size) - 2 * torch.eye(size)}


def distribution(p):
    diagonal = torch.nn.functional.softplus(p["raw"].diagonal(dim1=-2, dim2=-1))
    return MultivariateNormal(p["loc"], scale_tril=p["raw"].tril(-1) + torch.diag_embed(diagonal))


def log_joint(w):
    return -0.5 * w.square().sum(-1) - (y - w @ x.T).square().sum(-1)


objective = Evidence(log_joint)
