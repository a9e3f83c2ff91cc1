"""How noisy are an encoder's gradients while a VAE of bits trains on digits? `python examples/monitored_training.py`

Name another estimator to compare: `python examples/monitored_training.py reinforce`
"""

import sys

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.distributions import Bernoulli, Independent

from estimators import Evidence, get
from estimators.monitor import Monitor

MICRO_BATCHES, IMAGES = 8, 16  # a step's gradient is the sum over 8 micro-batches of 16 images


def bound(encoder, decoder, estimator, x):
    """The evidence bound of images x, as a surrogate: its gradient is the estimate, of encoder and decoder."""

    def log_joint(z):
        likelihood = Bernoulli(logits=decoder(z)).log_prob(x).sum(-1)
        return likelihood - 16 * torch.tensor(2.0).log()  # 16 bits, each with prior probability 1/2

    q = Independent(Bernoulli(logits=encoder(x)), 1)
    return estimator.surrogate(q, Evidence(log_joint), n=2).mean()


def train(name: str = "rloo", steps: int = 257, every: int = 32) -> list[dict[str, float]]:
    """Trains for some steps and returns the monitored ones: a dict with `step`, `bound` and the monitor's numbers."""
    torch.manual_seed(0)
    data = (torch.tensor(load_digits(return_X_y=True)[0]) >= 8).float()
    encoder = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 16))
    decoder = nn.Sequential(nn.Linear(16, 64), nn.Tanh(), nn.Linear(64, 64))
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=3e-3)
    monitor = Monitor(encoder.parameters(), micro_batch_size=IMAGES, every=every, window=4)
    log = []
    for step in range(steps):
        optimiser.zero_grad()
        total = 0.0
        for x in data[torch.randint(len(data), (MICRO_BATCHES, IMAGES))]:
            value = bound(encoder, decoder, get(name), x)
            (-value / MICRO_BATCHES).backward()
            monitor.add()
            total += value.item() / MICRO_BATCHES
        noise = monitor.step()  # a dict for any logger; empty between monitored steps
        optimiser.step()
        if noise:
            log.append({"step": step, "bound": total, **noise})
    return log


if __name__ == "__main__":
    for row in train(sys.argv[1] if sys.argv[1:] else "rloo"):
        print(
            f"step {row['step']:4}  bound {row['bound']:6.1f}  signal to noise {row['snr']:5.2f}"
            f" ({row['snr_low']:.2f} to {row['snr_high']:.2f})  noise scale {row['noise_scale']:6.0f} images"
            f" ({row['noise_scale_low']:.0f} to {row['noise_scale_high']:.0f})"
        )
