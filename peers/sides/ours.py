"""gradest: the step of its throughput measurement as a worker runs it, in a mode given on the command line."""

import sys

import torch

import estimators
from bench.measure.estimates.batching import replicates_per_chunk
from bench.measure.estimates.gradients import Gradients
from bench.measure.timing.throughput import whole_step
from bench.system.optional import keep_freed_memory
from peers.problems import CASES, PROBLEMS
from peers.protocol import Step, serve


def case(name: str, mode: str) -> dict[str, Step]:
    problem, estimator = name.split("/")
    gradients = Gradients(PROBLEMS[problem], estimators.get(estimator), CASES[name], dtype=torch.float32)
    replicates = replicates_per_chunk(gradients, mode)
    step = whole_step(gradients, replicates, mode)
    return {f"{replicates} at once": lambda: (replicates, *step())}


keep_freed_memory()
torch.set_num_threads(1)
torch.manual_seed(0)
serve({name: lambda name=name: case(name, sys.argv[2]) for name in CASES})
