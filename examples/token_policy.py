"""A policy over tokens with a reward for a right answer: `gradest recommend examples/token_policy.py`"""

import torch
from torch.distributions import Independent, OneHotCategorical

length, vocabulary = 8, 6
torch.manual_seed(0)
answer = torch.nn.functional.one_hot(torch.randint(vocabulary, (length,)), vocabulary).float()
parameters = torch.randn(length, vocabulary) + 1.5 * answer  # a token's logits at each position, half-way trained


def distribution(logits):
    return Independent(OneHotCategorical(logits=logits), 1)


def objective(z):  # z of shape [..., length, vocabulary]; the reward is 1 from six right tokens on
    return ((z * answer).sum((-1, -2)) >= 6).float()
