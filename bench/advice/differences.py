"""Finite differences of E f: they need neither a density nor a path, only draws."""

import numpy as np
import torch

from bench.advice import stopwatch
from bench.advice.own_model import OwnModel
from bench.numerics.tensors import Tensors

DIFFERENCES = 32
"""Mean differences that an error comes from, at least."""
DRAWS_AT_AN_END = 256
STEP = 0.1
"""The share of 1 + |θ| by which a parameter is moved at most; half of it shows the error of the step."""


def finite_differences(model: OwnModel, direction: np.ndarray, seconds: float) -> tuple[float, float, float]:
    """Returns the derivative of E f along `direction` in θ, its standard error, and an estimate of the step's bias.

    Both ends of a difference draw from one seed, so that what they have in common cancels; uses torch's generator.
    """
    along = _by_name(direction, model.theta)
    reach = max(float((along[name].abs() / (1 + value.abs())).max()) for name, value in model.theta.items())
    step, deadline, rows = STEP / reach, stopwatch.read() + seconds, []
    while len(rows) < DIFFERENCES or (stopwatch.read() < deadline and len(rows) < 256 * DIFFERENCES):
        seed = int(torch.randint(2**31, ()))
        ends = [_mean(model, along, sign * part * step, seed) for part in (1.0, 0.5) for sign in (1, -1)]
        rows.append(((ends[0] - ends[1]) / (2 * step), (ends[2] - ends[3]) / step))
        if len(rows) >= 4 and stopwatch.read() > deadline:
            break
    wide, narrow = np.array(rows).T
    better = (4 * narrow - wide) / 3  # Richardson: the error of the step is of its fourth power
    error = float(better.std(ddof=1) / len(rows) ** 0.5)
    return float(better.mean()), error, float(abs(narrow.mean() - wide.mean()) / 3)


def _mean(model: OwnModel, along: Tensors, step: float, seed: int) -> float:
    theta = {name: value + step * along[name] for name, value in model.theta.items()}
    torch.manual_seed(seed)
    with torch.no_grad():
        q = model.distribution(theta)
        return float(model.objective(q.sample(torch.Size([DRAWS_AT_AN_END])), q).double().mean())


def _by_name(direction: np.ndarray, theta: Tensors) -> Tensors:
    """A flat direction as tensors by name."""
    sizes = [value.numel() for value in theta.values()]
    parts = torch.as_tensor(direction).split(sizes)
    return {name: part.to(value).reshape(value.shape) for (name, value), part in zip(theta.items(), parts, strict=True)}
