"""Trains a small transformer by policy gradient, with any preset of `estimators.policy`, and measures its noise.

`python examples/language_training.py dapo`: an answer is right if its digits add up to the number in the prompt.
"""

import sys

import torch
from torch import nn

from estimators.monitor import Monitor
from estimators.policy import Rollouts, preset

PROMPTS, ROLLOUTS, LENGTH, END, START = 4, 8, 5, 0, 5  # tokens: 0 ends an answer, 1 … 4 are digits, 5 + b is prompt b
MICRO_BATCHES, EPOCHS = 4, 2  # each step learns from 4 micro-batches of rollouts, twice


class Transformer(nn.Module):
    """Logits of the next token after every prefix of prompt and answer, [..., LENGTH, 5]."""

    def __init__(self, width: int = 32):
        super().__init__()
        self.token, self.position = nn.Embedding(START + PROMPTS, width), nn.Parameter(torch.zeros(LENGTH, width))
        self.layer = nn.TransformerEncoderLayer(width, 4, 64, dropout=0.0, batch_first=True, norm_first=True)
        self.out = nn.Linear(width, START)

    def forward(self, prompt, answer):
        seen = torch.cat([prompt[:, None], answer[:, :-1]], 1)
        causal = nn.Transformer.generate_square_subsequent_mask(LENGTH)
        return self.out(self.layer(self.token(seen) + self.position, src_mask=causal))


def log_probs_of(policy, prompt, answer):
    return policy(prompt, answer).log_softmax(-1).gather(-1, answer[..., None])[..., 0]


@torch.no_grad()
def generate(policy, reference):
    """Rollouts of every prompt as tensors [B, K, T], with log-probabilities of the policy that drew them."""
    number = torch.arange(PROMPTS).repeat_interleave(ROLLOUTS)
    prompt, answer = START + number, torch.zeros(len(number), LENGTH, dtype=torch.long)
    for t in range(LENGTH):
        answer[:, t] = torch.distributions.Categorical(logits=policy(prompt, answer)[:, t]).sample()
    mask = (answer == END).cumsum(-1) - (answer == END).long() == 0  # up to the end token, that one included
    reward = ((answer * mask).sum(-1) == 3 + number).float()
    old, fixed = (log_probs_of(each, prompt, answer) for each in (policy, reference))
    return prompt, answer, *(x.unflatten(0, (PROMPTS, ROLLOUTS)) for x in (mask, reward, old, fixed))


def train(name: str = "trl:grpo", steps: int = 200, every: int = 20, **parts) -> list[dict[str, float]]:
    """Returns the monitored steps, each with `step`, the mean `reward` and the monitor's numbers."""
    torch.manual_seed(0)
    policy, reference = Transformer(), Transformer()
    reference.load_state_dict(policy.state_dict())
    loss, log = preset(name, **parts), []  # parts: beta=0.02, scale="none", …
    optimiser = torch.optim.Adam(policy.parameters(), lr=2e-3)
    monitor = Monitor(policy.parameters(), micro_batch_size=PROMPTS * ROLLOUTS, every=every * EPOCHS, window=1)
    for step in range(steps):
        batches = [generate(policy, reference) for _ in range(MICRO_BATCHES)]
        for _ in range(EPOCHS):  # in the second, the policy is not that of the rollouts: their ratio is limited
            optimiser.zero_grad()
            for prompt, answer, mask, rewards, old, fixed in batches:
                log_probs = log_probs_of(policy, prompt, answer).unflatten(0, (PROMPTS, ROLLOUTS))
                given = Rollouts(log_probs=log_probs, mask=mask, rewards=rewards, behaviour=old, reference=fixed)
                (loss(given) / MICRO_BATCHES).backward()
                monitor.add()
            noise = monitor.step()  # a dict; empty between monitored steps
            optimiser.step()
            if noise:
                log.append({"step": step, "reward": float(torch.stack([b[3] for b in batches]).mean()), **noise})
    return log


if __name__ == "__main__":
    for row in train(sys.argv[1] if sys.argv[1:] else "trl:grpo"):
        print(
            f"step {row['step']:4}  right answers {row['reward']:4.0%}  signal to noise {row['snr']:5.2f}"
            f" ({row['snr_low']:.2f} to {row['snr_high']:.2f})  noise scale {row['noise_scale']:6.0f} rollouts"
        )
