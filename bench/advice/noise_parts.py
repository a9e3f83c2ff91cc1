"""Splits the variance on a noisy model into the part that more draws reduce and the part that more data reduce.

Triples of training steps: the first, a second with the same noise of f and other draws, a third with the same draws and
other noise; the covariance of two of them is the part due to what they share (`bench.statistics.shared_part`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bench.advice import stopwatch
from bench.advice.own_model import OwnModel
from bench.advice.roads import step_gradient
from bench.advice.turns import Turn
from bench.statistics.interval import Interval
from bench.statistics.shared_part import SharedParts
from estimators.core import Estimator
from estimators.tools.noise_of_f import NoiseSource, drawing_from, generator_at

LEAST_TRIPLES = 32
CENTRE_SHARE = 0.2
"""The share of the time in which the centre of the products is found."""
SEED_RANGE = 2**62
TRIPLES_OF_A_BATCH = 16
TRIED, COPIES = 16, 8
"""Draws at which f is asked whether its draws share their noise, and how often each."""


@dataclass(frozen=True)
class NoiseParts:
    """Parts of the variance of a training step.

    `draws`: tr Var E(ĝ | draws), what is left without noise. `data`: tr Var E(ĝ | noise), what any number of draws
    leaves; None where each draw has its own noise (`each_draw`), or where no seed repeats the noise, because it does
    not come from torch's generator. `count`: the number of triples.
    """

    draws: Interval
    data: Interval | None
    each_draw: bool
    count: int


def noise_parts(model: OwnModel, estimator: Estimator, asked: Turn) -> NoiseParts:
    """The parts of the variance of one training step, in about `asked.seconds`; draws from torch's generator."""
    torch.manual_seed(asked.seed)
    start = stopwatch.read()
    each_draw, repeated = noise_by_draw(model)

    def step(draws: int, noise: int) -> Tensor:
        f = drawing_from(model.objective, NoiseSource(noise, step=0 if model.noise == "step" else 1))
        with generator_at(draws, model.device):
            found = step_gradient(model, f, estimator, asked.samples)
        return found.detach().double() / asked.scale

    centre, error = _centre(step, asked, start + CENTRE_SHARE * asked.seconds)
    parts = SharedParts({"all": slice(0, len(centre))}, centre, {"all": error}, ("draws", "data"))
    seeds = np.random.default_rng(asked.seed % SEED_RANGE + 1)
    while parts.count < LEAST_TRIPLES or stopwatch.read() < start + asked.seconds:
        draws, other_draws, noise, other_noise = seeds.integers(SEED_RANGE, size=(4, TRIPLES_OF_A_BATCH)).tolist()
        rows = (
            torch.stack([step(a, b) for a, b in zip(*pair, strict=True)])
            for pair in ((draws, noise), (other_draws, noise), (draws, other_noise))
        )
        parts.add(*rows)
    data = parts.interval("data", "all") if repeated and not each_draw else None
    return NoiseParts(parts.interval("draws", "all"), data, each_draw, parts.count)


def _centre(step: Callable[[int, int], Tensor], asked: Turn, deadline: float) -> tuple[Float[np.ndarray, " P"], float]:
    """The mean of some steps, about E ĝ, and its squared standard error."""
    seeds, rows = np.random.default_rng(asked.seed % SEED_RANGE), []
    while len(rows) < LEAST_TRIPLES or (stopwatch.read() < deadline and len(rows) < asked.replicates):
        rows.append(step(*seeds.integers(SEED_RANGE, size=2).tolist()))
    every = torch.stack(rows)
    return every.mean(0).cpu().numpy(), float(every.var(0).sum()) / len(rows)


def noise_by_draw(model: OwnModel) -> tuple[bool, bool]:
    """Whether each draw of a call of f has its own noise, and whether a seed repeats the noise.

    Tried at some draws of q, each several times in one call: copies of a draw have one value if they share the noise.
    """
    if model.noise == "step":
        return False, True
    q = model.distribution(model.theta)
    z = q.sample(torch.Size([TRIED])).detach().repeat_interleave(COPIES, 0)

    def values() -> Tensor:
        return drawing_from(model.objective, NoiseSource(0))(z.clone(), q).detach().unflatten(0, (TRIED, COPIES))

    once, again = values(), values()
    return not torch.equal(once, once[:, :1].expand(once.shape)), torch.equal(once, again)
