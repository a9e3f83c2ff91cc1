"""Trains a small transformer by policy gradient, with any preset of `estimators.policy`, and measures its noise.

`python examples/language_training.py dapo`: an answer is right if its digits add up to the number in the prompt.
"""

import sys

import torch
from torch import nn

from estimators.monitor import Monitor
from estimators.policy import Rollouts, preset

PROMPTS, K, T, END, START = 4, 8, 5, 0, 5  # tokens: 0 ends an answer, 1 … 4 are digits, 5 + b is prompt b
MICRO_BATCHES, EPOCHS = 8, 2  # a step draws 8 micro-batches of rollouts and learns from them twice


class Transformer(nn.Module):
    """For every prefix of prompt and answer: log-probabilities of the next token, and a critic's value."""

    def __init__(self, width: int = 32):
        super().__init__()
        self.token, self.position = nn.Embedding(START + PROMPTS, width), nn.Parameter(torch.zeros(T, width))
        self.layer = nn.TransformerEncoderLayer(width, 4, 64, dropout=0.0, batch_first=True, norm_first=True)
        self.heads = nn.Linear(width, START + 1)

    def forward(self, prompt, answer):
        x = self.token(torch.cat([prompt[..., None], answer[..., :-1]], -1)).flatten(0, -3) + self.position
        out = self.heads(self.layer(x, src_mask=nn.Transformer.generate_square_subsequent_mask(T)))
        out = out.unflatten(0, prompt.shape)
        return out[..., :START].log_softmax(-1), out[..., START]


def scored(network, prompt, answer):
    log_probs, values = network(prompt, answer)
    return log_probs.gather(-1, answer[..., None])[..., 0], values  # [B, K, T] both


@torch.no_grad()
def rollouts_of(policy, reference):
    """Prompts `[B, K]`, answers `[B, K, T]` and what `Rollouts` takes; the last answer to each prompt is greedy."""
    prompt = torch.arange(START, START + PROMPTS)[:, None].expand(-1, K + 1)
    answer = torch.zeros(PROMPTS, K + 1, T, dtype=torch.long)
    for t in range(T):
        law = policy(prompt, answer)[0][:, :, t]
        answer[:, :, t] = torch.distributions.Categorical(logits=law).sample()
        answer[:, K, t] = law[:, K].argmax(-1)
    mask = (answer == END).cumsum(-1) - (answer == END).long() == 0  # up to the end token, that one included
    rewards = ((answer * mask).sum(-1) == 3 + prompt - START).float()
    prompt, answer, mask = prompt[:, :K], answer[:, :K], mask[:, :K]
    behaviour, values = scored(policy, prompt, answer)
    given = {"mask": mask, "rewards": rewards[:, :K], "greedy_rewards": rewards[:, K], "values": values}
    return prompt, answer, given | {"behaviour": behaviour, "reference": scored(reference, prompt, answer)[0]}


def train(name: str = "trl:grpo", steps: int = 41, every: int = 5, **parts):
    """Yields each monitored step's `step`, mean `reward` and noise; parts: beta=0.02, scale="none" …"""
    torch.manual_seed(0)
    policy, reference, loss = Transformer(), Transformer(), preset(name, **parts)
    reference.load_state_dict(policy.state_dict())
    optimiser = torch.optim.Adam(policy.parameters(), lr=1e-3)
    monitor = Monitor(policy.parameters(), micro_batch_size=PROMPTS * K, every=every * EPOCHS, window=2)
    for step in range(steps):
        batches = [rollouts_of(policy, reference) for _ in range(MICRO_BATCHES)]
        for _ in range(EPOCHS):  # in the second, the policy is not that of the rollouts: their ratio is limited
            optimiser.zero_grad()
            for prompt, answer, given in batches:
                log_probs, values = scored(policy, prompt, answer)
                total = loss(Rollouts(log_probs=log_probs, **given))
                if loss.baseline == "critic":  # its loss's gradient counts in the noise
                    total = total + ((values - given["rewards"][..., None]).square() * given["mask"]).mean()
                (total / MICRO_BATCHES).backward()
                monitor.add()
            noise = monitor.step()  # a dict; empty between monitored steps
            optimiser.step()
            if noise:
                yield {"step": step, "reward": float(torch.stack([b[2]["rewards"] for b in batches]).mean()), **noise}


if __name__ == "__main__":
    line = "step {step:3}  right answers {reward:4.0%}  signal to noise {snr:.2f} ({snr_low:.2f} to {snr_high:.2f})"
    for row in train(sys.argv[1] if sys.argv[1:] else "trl:grpo"):
        print((line + "  noise scale {noise_scale:4.0f} rollouts").format(**row), flush=True)
