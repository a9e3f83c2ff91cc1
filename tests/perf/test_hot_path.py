"""The whole measurement step, timed: draw, evaluate, differentiate, take mean and variance; the problems of the suite
`throughput`.

`make test` runs each once, untimed. To compare two revisions on one machine, by ratio:

    pytest tests/perf --benchmark-enable --benchmark-save=before     # and again, --benchmark-compare=before

`--benchmark-timer=torch.utils.benchmark.timer` waits for an accelerator.
GRADEST_PERF_MODE=compile times compiled steps.
"""

import os

import pytest
import torch

import estimators
from bench.distributions import distributions
from bench.measure.estimates.batching import replicates_per_chunk
from bench.measure.estimates.gradients import Gradients
from bench.measure.timing.throughput import whole_step
from bench.objectives import objectives
from bench.problems.problem import Problem

PROBLEMS = {
    "bits": Problem(distributions.get("bernoulli", size=200), objectives.get("quadratic_bits", t=0.499)),
    "normal": Problem(distributions.get("normal", size=100), objectives.get("quadratic", centre=1.0)),
    "cosine": Problem(distributions.get("normal", size=100), objectives.get("cosine", frequency=1.0)),
    "logistic": Problem(distributions.get("normal", size=31), objectives.get("logistic_regression"), point="start"),
    "vae": Problem(distributions.get("bernoulli_encoder", size=64), objectives.get("digits_vae"), point="start"),
}

CASES = [
    ("bits", "reinforce", 4),
    ("bits", "rloo", 4),
    ("bits", "arm", 2),
    ("bits", "disarm", 2),
    ("bits", "gumbel_softmax", 1),
    ("bits", "rebar", 1),
    ("normal", "reinforce", 1),
    ("normal", "reparameterisation", 1),
    ("normal", "measure_valued", 1),
    ("cosine", "reinforce", 1),
    ("cosine", "reparameterisation", 1),
    ("cosine", "measure_valued", 1),
    ("logistic", "rloo", 4),
    ("logistic", "reparameterisation", 1),
    ("vae", "reinforce", 1),
    ("vae", "rloo", 2),
    ("vae", "disarm", 2),
]


MODE = os.environ.get("GRADEST_PERF_MODE", "eager")


@pytest.mark.parametrize(("problem", "name", "samples"), CASES)
def test_step(benchmark, problem, name, samples):
    torch.manual_seed(0)
    gradients = Gradients(PROBLEMS[problem], estimators.get(name), samples, dtype=torch.float32)
    replicates = replicates_per_chunk(gradients, MODE)
    benchmark.extra_info["replicates"] = replicates
    mean, spread = benchmark(whole_step(gradients, replicates, MODE))
    assert mean.isfinite().all() and (spread >= 0).all()
