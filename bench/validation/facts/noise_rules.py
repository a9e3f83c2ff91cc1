"""The exact mean and variance of an estimator: its noise integrated by a rule instead of drawn.

Every estimator draws with `torch.rand` or `torch.randn`. Given chosen numbers in their place, one replicate per node of
a rule over all the noise of an estimate, gradest's own code gives its own mean, variance and kurtosis to rounding.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.overrides import TorchFunctionMode

from bench.measure.estimates.gradients import Gradients
from bench.numerics.quadrature import REACH, legendre
from bench.problems.problem import Problem
from estimators.core import Estimator
from estimators.errors import BadInput

Line = tuple[Tensor, Tensor]
"""Nodes and weights of a rule over one random number; the weights sum to 1."""


@dataclass(frozen=True)
class Population:
    """Mean, variance and kurtosis of the estimates, per coordinate of θ."""

    mean: Float[np.ndarray, " P"]
    variance: Float[np.ndarray, " P"]
    kurtosis: Float[np.ndarray, " P"]


class FixedNoise(TorchFunctionMode):
    """Gives torch's random functions the columns of `points` `[R, columns]`, one after another, along the axis of
    size R."""

    RANDOM = (torch.rand, torch.randn, torch.rand_like, torch.randn_like)

    def __init__(self, points: Float[Tensor, "R columns"]) -> None:
        super().__init__()
        self.points, self.used = points, 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        return self.fill(result) if func in self.RANDOM else result

    def fill(self, random: Tensor) -> Tensor:
        """The next numbers, in the shape of what torch drew."""
        rows, columns = self.points.shape
        axis = random.shape.index(rows)
        wanted = random.numel() // rows
        if self.used + wanted > columns:
            raise BadInput(f"the estimate draws more than the {columns} random numbers that the rule is for")
        block = self.points[:, self.used : self.used + wanted]
        self.used += wanted
        rest = [size for place, size in enumerate(random.shape) if place != axis]
        return block.reshape(rows, *rest).movedim(0, axis).to(random)


def population(problem: Problem, estimator: Estimator, samples: int, *lines: Line) -> Population:
    """The moments of one estimate that draws one random number for each of `lines`, in this order.

    >>> import estimators
    >>> from bench.validation.facts.ad_hoc_problem import bits, double, posed
    >>> bit = posed(bits, {"logits": double(0.0)}, lambda b: b.sum(-1))
    >>> population(bit, estimators.get("reinforce"), 1, of_bit(0.5)).variance  # f is 1 or 0, the score ±½
    array([0.0625])
    """
    points = torch.cartesian_prod(*(node for node, _ in lines)).reshape(-1, len(lines))
    weight = torch.cartesian_prod(*(weight for _, weight in lines)).reshape(-1, len(lines)).prod(1)
    gradients = Gradients(problem, estimator, samples)
    with FixedNoise(points) as noise:
        estimates = gradients(len(points)).double()
    if noise.used != len(lines):
        raise BadInput(f"the estimate draws {noise.used} random numbers, not {len(lines)}")
    return moments_of(estimates, weight)


def moments_of(estimates: Float[Tensor, "R *P"], weight: Float[Tensor, " R"]) -> Population:
    """Of values with these probabilities."""
    estimates = estimates.reshape(len(weight), -1)
    mean = weight @ estimates
    apart = estimates - mean
    variance = weight @ apart.square()
    kurtosis = weight @ apart.pow(4) / torch.where(variance > 0, variance.square(), 1)
    return Population(mean.numpy(), variance.numpy(), kurtosis.clamp_min(1.0).numpy())


def of_bit(p: float) -> Line:
    """A uniform u of which only u < p matters."""
    p = min(max(p, 1e-300), 1.0)
    return torch.tensor([p / 2, (1 + p) / 2], dtype=torch.float64), torch.tensor([p, 1 - p], dtype=torch.float64)


def of_uniform(*breaks: float, panels: int = 4) -> Line:
    """A uniform, smooth but for `breaks`."""
    edges = sorted({0.0, 1.0, *breaks})
    parts = [legendre(low, high, panels) for low, high in pairwise(edges)]
    return torch.cat([node for node, _ in parts]), torch.cat([weight for _, weight in parts])


def of_logit(centre: float, width: float, panels: int = 60) -> Line:
    """A uniform u whose logit is what matters, with a break at `centre` and a scale of `width` around it."""
    edges = [-34.0, *(centre + width * step for step in (-30, -8, -3, 0, 3, 8, 30)), 34.0]
    edges = sorted({min(max(edge, -34.0), 34.0) for edge in edges})
    parts = [legendre(low, high, panels // 8 + 1) for low, high in pairwise(edges)]
    logit, weight = torch.cat([node for node, _ in parts]), torch.cat([weight for _, weight in parts])
    u = logit.sigmoid()
    return u, weight * u * (-logit).sigmoid()


def of_normal(*breaks: float, panels: int = 16) -> Line:
    """A standard Normal, smooth but for `breaks`."""
    edges = sorted({-REACH, REACH, *breaks})
    parts = [legendre(low, high, panels) for low, high in pairwise(edges)]
    noise, weight = torch.cat([node for node, _ in parts]), torch.cat([weight for _, weight in parts])
    return noise, weight * (-noise.square() / 2).exp() / (2 * torch.pi) ** 0.5


def of_polynomial(nodes: int = 12) -> Line:
    """A standard Normal in which the estimate is a polynomial: Gauss–Hermite."""
    node, weight = np.polynomial.hermite_e.hermegauss(nodes)
    return torch.tensor(node), torch.tensor(weight) / (2 * torch.pi) ** 0.5


def of_rayleigh(panels: int = 3) -> Line:
    """A uniform u that becomes √(−2 log u)."""
    w, weight = legendre(0.0, REACH, panels)
    u = (-w.square() / 2).exp()
    return u, weight * w * u


def of_point() -> Line:
    """A random number that what is looked at does not depend on."""
    return torch.tensor([0.5], dtype=torch.float64), torch.tensor([1.0], dtype=torch.float64)
