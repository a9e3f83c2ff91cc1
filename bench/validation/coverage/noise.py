"""Synthetic estimates with known moments: what the coverage study draws in place of gradients."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Noise:
    """A standardised distribution. `draw(R, P)`: mean 0, variance 1; `kurtosis`: its fourth moment, maybe infinite.

    `shared`: all coordinates of a replicate are one draw times a sign each.
    """

    name: str
    draw: Callable[[int, int], Tensor]
    kurtosis: float
    shared: bool = False


def exponential_noise(rows: int, columns: int) -> Tensor:
    return torch.empty(rows, columns).exponential_() - 1


def score_quadratic(rows: int, columns: int) -> Tensor:
    """REINFORCE on (x − k)², x ~ N(μ, 1), μ − k = 1: mean 2, variance 30."""
    x = torch.randn(rows, columns)
    return ((x + 1) ** 2 * x - 2) / 30**0.5


def lognormal(rows: int, columns: int) -> Tensor:
    return (torch.randn(rows, columns).exp() - math.exp(0.5)) / math.sqrt((math.e - 1) * math.e)


def student(rows: int, columns: int) -> Tensor:
    normal = torch.randn(4, rows, columns)
    return normal[0] / (normal[1:].square().sum(0) / 3).sqrt() / 3**0.5


def rare_bit(rows: int, columns: int, p: float = 0.02) -> Tensor:
    return ((torch.rand(rows, columns) < p).float() - p) / math.sqrt(p * (1 - p))


def two_point(rows: int, columns: int) -> Tensor:
    return (torch.rand(rows, columns) < 0.5).float() * 2 - 1


def common_scale(rows: int, columns: int) -> Tensor:
    """One exponential draw per replicate times signs: the whole gradient is large or small together."""
    return torch.empty(rows, 1).exponential_() / 2**0.5 * two_point(rows, columns)


def one_direction(rows: int, columns: int) -> Tensor:
    """All coordinates share one draw: a covariance of rank one."""
    return exponential_noise(rows, 1).expand(rows, columns)


NOISES = {
    noise.name: noise
    for noise in (
        Noise("normal", torch.randn, 3.0),
        Noise("exponential", exponential_noise, 9.0),
        Noise("score_quadratic", score_quadratic, 42.12),
        Noise("lognormal", lognormal, 113.94),
        Noise("bernoulli", rare_bit, 1 / (0.02 * 0.98) - 3),
        Noise("two_point", two_point, 1.0),
        Noise("common_scale", common_scale, 6.0),
        Noise("one_direction", one_direction, 9.0, shared=True),
        Noise("student_3", student, math.inf),
    )
}
