"""Trains a small transformer by policy gradient, with any preset of `estimators.policy`, and measures its noise.

`python examples/language_training.py dapo`: an answer is right if its digits add up to the number in the prompt.
"""

import sys
from collections.abc import Iterator

import torch
from torch import nn

from estimators.monitor import Monitor
from estimators.policy import Rollouts, preset

PROMPTS, ROLLOUTS, LENGTH, END, START = 4, 8, 5, 0, 5  # tokens: 0 ends an answer, 1 … 4 are digits, 5 + b is prompt b
MICRO_BATCHES, EPOCHS = 8, 2  # each step draws 8 micro-batches of rollouts and learns from them twice


class Transformer(nn.Module):
    """Logits of the next token after every prefix of prompt and answer, and a critic's values of the prefixes."""

    def __init__(self, width: int = 32):
        super().__init__()
        self.token, self.position = nn.Embedding(START + PROMPTS, width), nn.Parameter(torch.zeros(LENGTH, width))
        self.layer = nn.TransformerEncoderLayer(width, 4, 64, dropout=0.0, batch_first=True, norm_first=True)
        self.logits, self.value = nn.Linear(width, START), nn.Linear(width, 1)

    def forward(self, prompt, answer):
        seen = torch.cat([prompt[:, None], answer[:, :-1]], 1)
        causal = nn.Transformer.generate_square_subsequent_mask(LENGTH)
        h = self.layer(self.token(seen) + self.position, src_mask=causal)
        return self.logits(h).log_softmax(-1), self.value(h).squeeze(-1)


def grouped(x):
    return x.unflatten(0, (PROMPTS, -1))  # [B, K, …]


def generate(policy, prompt, greedy=False):
    """Answers to the prompts, their masks and rewards."""
    answer = torch.zeros(len(prompt), LENGTH, dtype=torch.long)
    for t in range(LENGTH):
        law = torch.distributions.Categorical(logits=policy(prompt, answer)[0][:, t])
        answer[:, t] = law.mode if greedy else law.sample()
    mask = (answer == END).cumsum(-1) - (answer == END).long() == 0  # up to the end token, that one included
    return answer, grouped(mask), grouped(((answer * mask.long()).sum(-1) == 3 + prompt - START).float())


def scored(network, prompt, answer):
    log_probs, values = network(prompt, answer)
    return grouped(log_probs.gather(-1, answer[..., None])[..., 0]), grouped(values)


@torch.no_grad()
def rollouts_of(policy, reference):
    """Prompts, answers and what `Rollouts` takes, as tensors `[B, K, T]`, from the policy as it is now."""
    each = torch.arange(START, START + PROMPTS)
    prompt = each.repeat_interleave(ROLLOUTS)
    answer, mask, rewards = generate(policy, prompt)
    old, values = scored(policy, prompt, answer)
    greedy = generate(policy, each, greedy=True)[2].squeeze(-1)  # for remax alone
    fixed = scored(reference, prompt, answer)[0]
    given = {"mask": mask, "rewards": rewards, "behaviour": old, "reference": fixed}
    return prompt, answer, given | {"values": values, "greedy_rewards": greedy}


def train(name: str = "trl:grpo", steps: int = 41, every: int = 5, **parts) -> Iterator[dict[str, float]]:
    """Yields the monitored steps as they come, each with `step`, the mean `reward` and the monitor's numbers."""
    torch.manual_seed(0)
    policy, reference = Transformer(), Transformer()
    reference.load_state_dict(policy.state_dict())
    loss = preset(name, **parts)  # parts: beta=0.02, scale="none", …
    optimiser = torch.optim.Adam(policy.parameters(), lr=1e-3)
    monitor = Monitor(policy.parameters(), micro_batch_size=PROMPTS * ROLLOUTS, every=every * EPOCHS, window=2)
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
    for row in train(sys.argv[1] if sys.argv[1:] else "trl:grpo"):
        print(
            f"step {row['step']:4}  right answers {row['reward']:4.0%}  signal to noise {row['snr']:5.2f}"
            f" ({row['snr_low']:.2f} to {row['snr_high']:.2f})  noise scale {row['noise_scale']:6.0f} rollouts",
            flush=True,
        )
