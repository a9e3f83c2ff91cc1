"""The cluster of each iris in a Gaussian mixture, as whole numbers that index: `gradest recommend
examples/mixture_posterior.py`

A batch of one-hot categoricals would let more estimators race; whole numbers leave the score functions.
"""

import torch
from sklearn.datasets import load_iris
from torch.distributions import Categorical, Normal

x = torch.tensor(load_iris(return_X_y=True)[0]).float()
x = (x - x.mean(0)) / x.std(0)
torch.manual_seed(0)
centres = x[torch.randperm(len(x))[:3]]
log_likelihood = Normal(centres, 0.7).log_prob(x[:, None, :]).sum(-1)  # [150, 3]
parameters = 0.1 * torch.randn(len(x), 3)


def distribution(logits):
    return Categorical(logits=logits)  # a batch of 150: the gradient is that of the mean over the flowers


def objective(z, q):  # z of shape [..., 150]; log p(x, z) − log q(z)
    return log_likelihood[torch.arange(len(x)), z] - q.log_prob(z)
