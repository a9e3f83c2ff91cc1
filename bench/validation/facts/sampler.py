"""How facts are measured: many independent estimates of gradest's own, or all of an estimator's noise by a rule."""

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
"""Half-widths of intervals, in standard errors: 1 of 16,000 normal means is farther out."""


@dataclass
class Sampler:
    """Draws with seeds of its own: the n-th thing measured by a fact has the same numbers, whatever came before.

    `quick` takes an eighth of the replicates.
    """

    fact: str
    seed: int = 0
    quick: bool = False
    measured: int = field(default=0, init=False)

    def replicates(self, full: int) -> int:
        """How many replicates to take where a full measurement takes `full`."""
        return max(full // 8, 256) if self.quick else full

    def start(self) -> None:
        """Seeds torch for the next thing that is measured."""
        self.measured += 1
        torch.manual_seed(chunk_seed(self.seed, self.fact, self.measured))

    def moments(self, problem: Problem, estimator: Estimator, samples: int = 1, full: int = 2**20) -> Moments:
        """The moments, per coordinate of θ, of independent estimates from `samples` draws each."""
        gradients, wanted = Gradients(problem, estimator, samples), self.replicates(full)
        self.start()
        chunk = min(replicates_per_chunk(gradients), wanted)
        self.start()
        found = Moments.none(problem.dim)
        while found.count < wanted:
            found = found + Moments.of(gradients(chunk))
        return found

    def estimates(self, problem: Problem, estimator: Estimator, samples: int, full: int) -> Float[Tensor, "R P"]:
        """The estimates themselves."""
        gradients, wanted = Gradients(problem, estimator, samples), self.replicates(full)
        self.start()
        chunk = min(replicates_per_chunk(gradients), wanted)
        self.start()
        return torch.cat([gradients(chunk) for _ in range(-(-wanted // chunk))])

    def draws(self, draw: Callable[[int], Tensor], full: int) -> Tensor:
        """`draw(number)` of that many."""
        self.start()
        return draw(self.replicates(full))


def slope(x: Sequence[float | int], y: Sequence[float]) -> float:
    """The slope of log y in log x, by least squares.

    >>> round(slope([1.0, 2.0, 4.0], [3.0, 6.0, 12.0]), 12)
    1.0
    """
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])
