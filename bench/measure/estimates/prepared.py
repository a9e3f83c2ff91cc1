"""How every measurement of a cell begins: the estimator tuned, its gradients ready, the chunk of replicates sized."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from bench.measure.estimates.batching import replicates_per_chunk
from bench.measure.estimates.fitting import fitted
from bench.measure.estimates.gradients import Gradients
from bench.measure.execution.modes import kept_generator
from bench.problems.problem import Problem
from bench.provenance.seeds import chunk_seed
from bench.tables.metrics import Measurement
from estimators.core import Estimator


@dataclass(frozen=True)
class Execution:
    """Where and how a cell runs, and what its draws are seeded by."""

    cell_id: str
    seed: int
    device: str = "cpu"
    dtype: torch.dtype = torch.float64
    mode: str = "eager"

    def seed_of(self, chunk: int | str) -> int:
        """The seed of one chunk of the cell, or of what a word names."""
        return chunk_seed(self.seed, self.cell_id, chunk)


@dataclass(frozen=True)
class Opening:
    """`eager` gradients of the tuned estimator, `gradients` in the cell's mode, how many replicates go into a chunk,
    and what tuning cost."""

    eager: Gradients
    gradients: Gradients
    replicates: int
    fitting: tuple[Measurement, ...]


@contextmanager
def opened(problem: Problem, estimator: Estimator, samples: int, execution: Execution) -> Iterator[Opening]:
    """A cell ready to be measured; torch's generators are put back at the end."""
    with kept_generator(execution.device):
        torch.manual_seed(execution.seed_of("fit"))
        untuned = Gradients(problem, estimator, samples, device=execution.device, dtype=execution.dtype)
        tuned, fitting = fitted(untuned)
        eager = untuned.by(tuned)
        replicates = replicates_per_chunk(eager, execution.mode)
        gradients = eager if execution.mode == "eager" else eager.by(tuned, mode=execution.mode)
        yield Opening(eager, gradients, replicates, fitting)
