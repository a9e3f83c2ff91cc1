"""Every surrogate compiles whole, and with eager's random kernels gives eager's numbers."""

import os

import pytest
import torch
import torch._inductor.config

import estimators
from tests.cases import EVERY, fitting

pytestmark = [
    pytest.mark.compile,
    pytest.mark.skipif(
        not os.environ.get("GRADEST_NO_SHAPES"),
        reason="the shape hook of tests/conftest.py is not traceable; set GRADEST_NO_SHAPES=1 to compile",
    ),
]


@pytest.fixture(autouse=True)
def eager_draws(monkeypatch):
    """Eager's random kernels; no validation, which one-hot categoricals do inside; torch's state as it was."""
    monkeypatch.setattr(torch.distributions.Distribution, "_validate_args", False)
    with torch._inductor.config.patch(fallback_random=True):
        yield
    torch._dynamo.reset()


@pytest.mark.parametrize("name", estimators.available())
def test_compiles_whole_and_agrees_with_eager(name):
    estimator = estimators.get(name)
    cases, n = fitting(estimator)
    build, parameters, f = EVERY[cases[0]]
    values = {key: value.expand(16, *value.shape) for key, value in parameters.items()}

    def gradient(values):
        return torch.func.grad(lambda values: estimator.surrogate(build(**values), f, n).sum())(values)

    torch.manual_seed(0)
    expected = gradient(values)
    torch.manual_seed(0)
    found = torch.compile(gradient, fullgraph=True)(values)
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, msg=lambda m: f"{cases[0]}: {m}")
