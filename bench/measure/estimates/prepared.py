"""Prepares a cell for measurement: fits the estimator, builds its gradients, and chooses the chunk size."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from bench.measure.estimates.batching import replicates_per_chunk
from bench.measure.estimates.fitting import fitted
from bench.measure.estimates.gradients import Gradients
from bench.measure.execution.modes import kept_generator
from bench.measure.execution.seeding import seed_draws
from bench.problems.problem import Problem
from bench.provenance.seeds import chunk_seed
from bench.tables.metrics import Measurement
from estimators.core import Estimator


@dataclass(frozen=True)
class Execution:
    """Device, dtype and mode of a cell, and the cell id and suite seed from which its draws are seeded."""

    cell_id: str
    seed: int
    device: str = "cpu"
    dtype: torch.dtype = torch.float64
    mode: str = "eager"

    def seed_of(self, chunk: int | str) -> int:
        """The seed of a chunk (int), or of a named stage such as 'fit' (str)."""
        return chunk_seed(self.seed, self.cell_id, chunk)


@dataclass(frozen=True)
class Opening:
    """A prepared cell.

    `eager`: eager gradients of the fitted estimator. `gradients`: the same in the cell's mode. `replicates`: the chunk
    size. `fitting`: the rows of the cost of fitting.
    """

    eager: Gradients
    gradients: Gradients
    replicates: int
    fitting: tuple[Measurement, ...]


@contextmanager
def opened(problem: Problem, estimator: Estimator, samples: int, execution: Execution) -> Iterator[Opening]:
    """Prepares a cell for measurement; restores torch's generators at the end."""
    with kept_generator(execution.device):
        seed_draws(execution.seed_of("fit"), execution.device)
        untuned = Gradients(problem, estimator, samples, device=execution.device, dtype=execution.dtype)
        tuned, fitting = fitted(untuned)
        eager = untuned.by(tuned)
        replicates = replicates_per_chunk(eager, execution.mode)
        gradients = eager if execution.mode == "eager" else eager.by(tuned, mode=execution.mode)
        yield Opening(eager, gradients, replicates, fitting)
