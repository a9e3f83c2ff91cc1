"""A simulator in numpy, which torch cannot differentiate: `gradest recommend examples/simulator.py --cost calls`

Shops along a road stock goods; what is not there when a customer comes by is lost. How should stock be placed?
"""

import numpy as np
import torch
from torch.distributions import Independent, Normal

shops, days = 6, 30
demand = np.random.default_rng(0).gamma(2.0, 1.5, size=(days, shops))  # fixed: all randomness is q's
parameters = {"log_stock": torch.full((shops,), 0.5), "log_spread": torch.full((shops,), -1.0)}


def distribution(p):
    return Independent(Normal(p["log_stock"], p["log_spread"].exp()), 1)


def objective(z):  # z of shape [..., 6]; a tensor of costs, or numpy's array of them, of shape [...]
    stock = np.exp(z.numpy())[..., None, :]
    lost, left = np.maximum(demand - stock, 0), np.maximum(stock - demand, 0)
    return (3 * lost + left).sum((-2, -1)) / days
