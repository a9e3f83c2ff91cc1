"""A transformer as a policy over tokens that may end early: `gradest recommend examples/transformer_policy.py`

A distribution of one's own needs `sample` and `log_prob` only.
"""

import torch
from torch import nn
from torch.distributions import Distribution, constraints

prompts, length, tokens, end = 2, 4, 4, 0


class Network(nn.Module):
    """Logits of the next token after every prefix: one causal attention layer."""

    def __init__(self):
        super().__init__()
        self.prompt, self.token = nn.Embedding(prompts, 8), nn.Embedding(tokens + 1, 8)
        self.position = nn.Parameter(0.1 * torch.randn(length, 8))
        self.mix, self.out = nn.Linear(8, 24), nn.Linear(8, tokens)

    def forward(self, prompt, z):
        before = torch.cat([torch.full_like(z[..., :1], tokens), z[..., :-1]], -1)  # the last index starts a sequence
        h = self.token(before) + self.position + self.prompt(prompt)[..., None, :]
        query, key, value = self.mix(h).chunk(3, -1)
        allowed = torch.ones(length, length, dtype=torch.bool).tril()
        weight = (query @ key.transpose(-1, -2) / 8**0.5).masked_fill(~allowed, float("-inf")).softmax(-1)
        return self.out(h + weight @ value)


class Policy(Distribution):
    """Token indices `[*sample, prompt, position]`; what follows the end token is padding."""

    arg_constraints = {}  # pyright: ignore
    support = constraints.independent(constraints.nonnegative_integer, 1)  # pyright: ignore

    def __init__(self, network):
        self.network = network
        super().__init__(torch.Size([prompts]), torch.Size([length]), validate_args=False)

    def logits(self, z):
        return self.network(torch.arange(prompts).expand(z.shape[:-1]), z)

    @torch.no_grad()
    def sample(self, sample_shape=()):
        z = torch.zeros(*sample_shape, prompts, length, dtype=torch.long)
        for t in range(length):
            z[..., t] = torch.distributions.Categorical(logits=self.logits(z)[..., t, :]).sample()
        return z

    def log_prob(self, value):
        chosen = self.logits(value).log_softmax(-1).gather(-1, value[..., None])[..., 0]
        return (chosen * before_the_end(value)).sum(-1)


def before_the_end(z):
    """1 for tokens up to the first end token, that one included."""
    return ((z == end).cumsum(-1) - (z == end).long() == 0).float()


torch.manual_seed(0)
parameters = Network()


def distribution(network):
    return Policy(network)


def objective(z):  # the reward: 1 where the tokens add up to 5
    return ((z * before_the_end(z)).sum(-1) == 5).float()
