"""Trains the suite's small transformer by policy gradient, with any preset of `estimators.policy`, and measures noise.

`python examples/language_training.py trl:dapo`: 4 prompts; an answer has up to 5 tokens, and is right by the family's
`law`. Your own network needs the same few tensors: see `Rollouts`.
"""

import sys

import torch

from bench.distributions.prefix_policy import PrefixPolicy
from bench.distributions.transformer_policy import TransformerPolicyFamily
from bench.objectives.right_answers import TableReward
from estimators.monitor import Monitor
from estimators.policy import Rollouts, preset

K, MICRO_BATCHES, EPOCHS = 8, 8, 2  # a step draws 8 micro-batches of K answers to each prompt, and learns twice
FAMILY = TransformerPolicyFamily(size=5, vocabulary=5, prompts=4, stage="early")
REWARD = TableReward(FAMILY.right())


def policy_at(theta):
    return PrefixPolicy(FAMILY.encode_table(theta), prompt_axes=1)


@torch.no_grad()
def rollouts_of(policy, reference):
    """Returns answers `[K, prompts, tokens, vocabulary]`, and what `Rollouts` takes beside their log-probabilities."""
    z = policy.sample((K,))
    given = {
        "mask": policy.mask(z).movedim(0, 1),  # 1 up to and with the end token; [prompts, K, tokens], as all below
        "rewards": REWARD(z, policy).movedim(0, 1),  # [prompts, K]
        "behaviour": policy.log_prob_steps(z).movedim(0, 1),
        "reference": reference.log_prob_steps(z).movedim(0, 1),
        "greedy_rewards": REWARD(policy.mode, policy),  # for ReMax
        "values": REWARD.state_values(z, policy).movedim(0, 1),  # for PPO; exact ones, where you have a critic
    }
    return z, given


def train(name: str = "trl:grpo", steps: int = 41, every: int = 5, **parts):
    """Yields each monitored step's `step`, the exact rate of `right` answers, and noise; parts: beta=0.02 …"""
    torch.manual_seed(0)
    theta = {name: value.requires_grad_() for name, value in FAMILY.start().items()}
    reference, loss = PrefixPolicy(policy_at(theta).logits.detach(), prompt_axes=1), preset(name, **parts)
    optimiser = torch.optim.Adam(theta.values(), lr=1e-2)
    monitor = Monitor(theta.values(), micro_batch_size=FAMILY.prompts * K, every=every * EPOCHS, window=2)
    for step in range(steps):
        right = FAMILY.success(theta).mean().item()
        batches = [rollouts_of(policy_at(theta), reference) for _ in range(MICRO_BATCHES)]
        for _ in range(EPOCHS):  # in the second, the policy is not that of the rollouts: their ratio is limited
            optimiser.zero_grad()
            for z, given in batches:
                log_probs = policy_at(theta).log_prob_steps(z).movedim(0, 1)
                (loss(Rollouts(log_probs=log_probs, **given)) / MICRO_BATCHES).backward()
                monitor.add()
            noise = monitor.step()  # a dict; empty between monitored steps
            optimiser.step()
            if noise:
                yield {"step": step, "right": right, **noise}


if __name__ == "__main__":
    line = "step {step:3}  right answers {right:4.0%}  signal to noise {snr:.2f} ({snr_low:.2f} to {snr_high:.2f})"
    for row in train(sys.argv[1] if sys.argv[1:] else "trl:grpo"):
        print((line + "  noise scale {noise_scale:4.0f} rollouts").format(**row), flush=True)
