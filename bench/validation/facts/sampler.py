"""The sampler of the facts: draws many independent estimates with gradest's own code."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bench.measure.estimates.batching import replicates_per_chunk
from bench.measure.estimates.gradients import Gradients
from bench.problems.problem import Problem
from bench.provenance.seeds import chunk_seed
from bench.statistics.moments import Moments
from estimators.core import Estimator

SIGMAS = 4.0
"""Half-width of intervals in standard errors; 1 in 16,000 normal means lies outside."""


@dataclass
class Sampler:
    """Draws estimates for a fact. The n-th measurement of a fact has its own seed, independent of earlier draws.

    `quick`: take an eighth of the replicates.
    """

    fact: str
    seed: int = 0
    quick: bool = False
    measured: int = field(default=0, init=False)

    def replicates(self, full: int) -> int:
        """Returns the number of replicates to take if a full measurement takes `full`."""
        return max(full // 8, 256) if self.quick else full

    def start(self) -> None:
        """Seeds torch for the next measurement."""
        self.measured += 1
        torch.manual_seed(chunk_seed(self.seed, self.fact, self.measured))

    def moments(self, problem: Problem, estimator: Estimator, samples: int = 1, full: int = 2**20) -> Moments:
        """Returns the moments, per coordinate of θ, of independent estimates from `samples` draws each."""
        gradients, wanted = Gradients(problem, estimator, samples), self.replicates(full)
        self.start()
        chunk = min(replicates_per_chunk(gradients), wanted)
        self.start()
        found = Moments.none(problem.dim)
        while found.count < wanted:
            found = found + Moments.of(gradients(chunk))
        return found

    def estimates(self, problem: Problem, estimator: Estimator, samples: int, full: int) -> Float[Tensor, "R P"]:
        """Returns independent estimates `[R, P]` from `samples` draws each."""
        gradients, wanted = Gradients(problem, estimator, samples), self.replicates(full)
        self.start()
        chunk = min(replicates_per_chunk(gradients), wanted)
        self.start()
        return torch.cat([gradients(chunk) for _ in range(-(-wanted // chunk))])

    def draws(self, draw: Callable[[int], Tensor], full: int) -> Tensor:
        """Returns `draw(number)` for the number of replicates."""
        self.start()
        return draw(self.replicates(full))


def slope(x: Sequence[float | int], y: Sequence[float]) -> float:
    """Returns the least-squares slope of log y against log x.

    >>> round(slope([1.0, 2.0, 4.0], [3.0, 6.0, 12.0]), 12)
    1.0
    """
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])
