"""Train for the best, or for the worst, of eight answers of a policy: `python examples/several_draws_at_once.py`

The objective takes eight draws at once: the expected reward of the best of them (max@8; pass@8 where rewards are 0 and
1), or the mean of their worst quarter (a conditional value at risk). Each estimator gets the same number of draws.
"""

import torch
from torch.distributions import Independent, OneHotCategorical

from estimators import OrderStatistics, get

length, vocabulary, draws = 6, 5, 8
torch.manual_seed(0)
answer = torch.nn.functional.one_hot(torch.randint(vocabulary, (length,)), vocabulary).float()


def distribution(logits):
    return Independent(OneHotCategorical(logits=logits), 1)


def right_tokens(z):  # z of shape [..., length, vocabulary], one reward for each draw
    return (z * answer).sum((-1, -2))


GOALS = {
    "best of 8": OrderStatistics.maximum(right_tokens, draws),
    "worst quarter of 8": OrderStatistics.conditional_value_at_risk(right_tokens, draws, share=0.25),
}
ESTIMATORS = ("set_reinforce", "set_rloo", "subset_score")


def variance(name: str, goal: str, count: int = 500) -> float:
    """The variance of an estimator's gradient at the start, summed over the logits: `count` estimates at once."""
    logits = torch.zeros(count, length, vocabulary, requires_grad=True)
    get(name).surrogate(distribution(logits), GOALS[goal], n=4).sum().backward()
    assert logits.grad is not None
    return float(logits.grad.var(0).sum())


def train(name: str, goal: str, steps: int = 100) -> float:
    """The objective after some steps of training."""
    logits = torch.zeros(length, vocabulary, requires_grad=True)
    optimiser = torch.optim.SGD([logits], lr=0.5)
    for _ in range(steps):
        optimiser.zero_grad()
        (-get(name).surrogate(distribution(logits), GOALS[goal], n=4)).backward()  # 4 sets of 8 draws
        optimiser.step()
    q = distribution(logits.detach())
    return float(GOALS[goal](q.sample(torch.Size([1000, draws])), q).mean())


if __name__ == "__main__":
    for goal in GOALS:
        for name in ESTIMATORS:
            print(f"{goal:18}  {name:14} variance {variance(name, goal):7.3f}  trained {train(name, goal):5.2f}")
