"""A simulator with its own noise: `gradest recommend examples/noisy_simulator.py`

A queue behind three counters: how often should each be staffed? Arrivals differ from call to call of the simulator.
"""

import torch
from torch.distributions import Bernoulli, Independent

counters = 3
parameters = {"logits": torch.zeros(counters)}
noisy = True  # each call draws other arrivals, for each draw its own


def distribution(p):
    return Independent(Bernoulli(logits=p["logits"]), 1)


def objective(z):  # z of shape [..., 3]: which counters are open
    arrivals = torch.poisson(torch.full(z.shape[:-1], 4.0))
    waiting = (arrivals - 2 * z.sum(-1)).clamp(min=0)
    return waiting + 0.8 * z.sum(-1)
