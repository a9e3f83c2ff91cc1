"""The whole measurement step, timed: draw, evaluate, differentiate, accumulate moments.

`make test` runs each once, untimed. To compare two revisions on one machine:

    pytest tests/perf --benchmark-enable --benchmark-save=before     # and again, --benchmark-compare=before
"""

import pytest
import torch

import estimators
from bench.chunks import replicates_per_chunk
from bench.distributions import distributions
from bench.gradients import Gradients
from bench.moments import Moments
from bench.objectives import objectives
from bench.problem import Problem

PROBLEMS = {
    "bits": Problem(distributions.get("bernoulli", size=200), objectives.get("quadratic_bits", t=0.499)),
    "normal": Problem(distributions.get("normal", size=100), objectives.get("quadratic")),
    "logistic": Problem(distributions.get("normal", size=31), objectives.get("logistic_regression")),
    "vae": Problem(distributions.get("bernoulli_encoder", size=32), objectives.get("digits_vae"), point="start"),
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
    ("logistic", "rloo", 4),
    ("logistic", "reparameterisation", 1),
    ("vae", "reinforce", 1),
    ("vae", "rloo", 2),
    ("vae", "disarm", 2),
]


@pytest.mark.parametrize(("problem", "name", "samples"), CASES)
def test_step(benchmark, problem, name, samples):
    torch.manual_seed(0)
    gradients = Gradients(PROBLEMS[problem], estimators.get(name), samples, dtype=torch.float32)
    replicates = replicates_per_chunk(gradients)
    benchmark.extra_info["replicates"] = replicates
    moments = benchmark(lambda: Moments.of(gradients(replicates)))
    assert moments.count == replicates
