"""Every surrogate compiles whole, and with the same random numbers gives what it gives in eager; so do whole steps."""

import os
from functools import partial

import pytest
import torch
import torch._inductor.config

import estimators
from bench.distributions import distributions
from bench.measure.estimates.gradients import Gradients, encoded
from bench.measure.execution.counter_rng import Counted
from bench.measure.execution.modes import executed
from bench.objectives import objectives
from bench.problems.problem import Problem
from tests.support.cases import EVERY, fitting

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


GENERATED = {"quasi_monte_carlo", "rebar", "reparameterisation"}
"""One estimator of each kind of operation, for which code is generated in `make test`; a score function is below, with
a VAE. What takes the time is to generate code, and what breaks is nearly always the tracing before it."""
FIRST = {type(estimators.get(name)).__module__: name for name in reversed(estimators.available())}
"""One estimator per module: those of a module share their code."""


TRACED = [
    pytest.param(name, marks=() if name in FIRST.values() else pytest.mark.slow)
    for name in sorted({*estimators.available()} - GENERATED)
]


@pytest.mark.parametrize("name", TRACED)
def test_is_traced_whole_and_agrees_with_eager(name):
    """All that torch.compile does but to generate code; for the others of a module, but to differentiate the trace."""
    assert_compiles(name, "aot_eager" if name in FIRST.values() else "eager")


@pytest.mark.parametrize("name", sorted(GENERATED))
def test_compiles_whole_and_agrees_with_eager(name):
    assert_compiles(name, "inductor")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*estimators.available()} - GENERATED))
def test_the_others_compile_whole_and_agree_with_eager(name):
    assert_compiles(name, "inductor")


def assert_compiles(name, backend):
    estimator = estimators.get(name)
    cases, n = fitting(estimator)
    build, parameters, f = EVERY[cases[0]]
    values = {key: value.expand(16, *value.shape) for key, value in parameters.items()}

    def gradient(values):
        return torch.func.grad(lambda values: estimator.surrogate(build(**values), f, n).sum())(values)

    torch.manual_seed(0)
    expected = gradient(values)
    torch.manual_seed(0)
    found = torch.compile(gradient, fullgraph=True, backend=backend)(values)
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, msg=lambda m: f"{cases[0]}: {m}")


VAE = Problem(distributions.get("bernoulli_encoder", size=64), objectives.get("digits_vae"), point="start")


@pytest.mark.parametrize(
    ("name", "samples"),
    [
        pytest.param("reinforce", 1, marks=pytest.mark.slow),
        ("rloo", 2),
        pytest.param("disarm", 2, marks=pytest.mark.slow),
    ],
)
def test_a_vae_compiles_down_to_its_encoders_weights(name, samples):
    eager, compiled = (Gradients(VAE, estimators.get(name), samples, mode=mode) for mode in ("eager", "compile"))
    torch.manual_seed(0)
    with Counted():
        expected = eager(4)
    torch.manual_seed(0)
    torch.testing.assert_close(compiled(4), expected)


PULLED = [
    pytest.param(name, marks=pytest.mark.slow if place % 6 else ())
    for place, name in enumerate(distributions.available())
]
"""Every sixth family in `make test`, where tests/bench/validation/test_capture_rules.py follows all of them on a device
without values; all in `make test-all`."""


@pytest.mark.parametrize("name", PULLED)
def test_every_family_is_pulled_back_to_its_parameters_inside_a_compiled_step(name):
    """Only traced: what cannot be is a host's work or a closure from outside, which no backend mends."""
    family = distributions.get(name)
    problem = Problem(family, objectives.get("quadratic"), coordinates=family.coordinates[0])
    parameters, pull = encoded(problem, problem.theta())
    gradients = {key: torch.ones(3, *value.shape, dtype=value.dtype) for key, value in parameters.items()}
    torch.testing.assert_close(torch.compile(pull, fullgraph=True, backend="eager")(gradients), pull(gradients))


def test_more_cells_are_compiled_in_a_process_than_torchs_limit_of_eight(monkeypatch):
    """Only traced: the limit is the tracer's."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))

    def cell(size):
        scale = torch.arange(1.0, 1.0 + size)
        return executed(lambda parameters: {"x": parameters["x"] * scale}, "compile")

    for size in range(1, 10):
        x = torch.ones(4, size)
        assert torch.equal(cell(size)({"x": x})["x"], x * torch.arange(1.0, 1.0 + size))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_compiled_step_counts_its_numbers_also_an_odd_number_of_them(dtype):
    def step(parameters):
        shape = parameters["x"].shape
        return torch.rand(shape, dtype=dtype), torch.randn(*shape, dtype=dtype, device="cpu")

    x = {"x": torch.zeros(3, 7)}
    torch.manual_seed(0)
    found = executed(step, "compile")(x)
    torch.manual_seed(0)
    with Counted():
        expected = step(x)
    torch.testing.assert_close(found, expected)
    torch.manual_seed(0)
    assert not torch.equal(found[0], torch.rand(3, 7, dtype=dtype))
