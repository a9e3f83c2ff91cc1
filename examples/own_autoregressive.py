"""An autoregressive class of one's own, with its steps: `gradest recommend examples/own_autoregressive.py`

On which of twelve days is a machine serviced? Each day's choice depends on the days before; each day has its own cost.
`log_prob_steps` and `Terms` let `downstream` and `structured_local_expectation` credit a day with the costs after it.
"""

import torch
from torch.distributions import Bernoulli, Distribution, constraints

from estimators import Terms

days = 12
parameters = {"bias": torch.zeros(days), "weight": torch.zeros(days, days)}


class Plan(Distribution):
    """Bits `[*sample, day]`, drawn one after another."""

    arg_constraints = {}  # pyright: ignore
    support = constraints.independent(constraints.boolean, 1)  # pyright: ignore

    def __init__(self, bias, weight):
        self.bias, self.weight = bias, weight.tril(-1)
        super().__init__(torch.Size(), bias.shape, validate_args=False)

    def bits(self, z):  # the law of each day's bit, given the days before
        return Bernoulli(logits=self.bias + z @ self.weight.T, validate_args=False)

    @torch.no_grad()
    def sample(self, sample_shape=()):
        z = torch.zeros(*sample_shape, days)
        for day in range(days):
            z[..., day] = self.bits(z).sample()[..., day]
        return z

    def log_prob_steps(self, value):  # one for each day; their sum is log_prob
        return self.bits(value).log_prob(value)

    def log_prob(self, value):
        return self.log_prob_steps(value).sum(-1)


def distribution(p):
    return Plan(p["bias"], p["weight"])


def daily_costs(z):  # [..., day]: a service costs 1; a day without one on it or on the two days before costs 2
    rested = (1 - torch.nn.functional.pad(z, (2, 0))).unfold(-1, 3, 1).prod(-1)
    return -z - 2 * rested


last_three = torch.ones(days, days).tril().triu(-2)  # the cost of a day depends on its bit and the two before
objective = Terms(daily_costs, last_three)
