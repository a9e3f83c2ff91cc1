"""Every estimator in reverse mode, in forward mode and with a batched pullback: one gradient, at the same draws."""

from dataclasses import dataclass

import pytest
import torch
from torch.distributions import Independent, Normal

import estimators
from bench.distributions import distributions
from bench.measure.estimates.calls import count, counting
from bench.measure.estimates.gradients import Gradients
from bench.objectives import objectives
from bench.problems.problem import Problem
from bench.validation.checks import checks_of
from bench.validation.checks.passes import check_passes_of_a_sweep, require_passes
from estimators import Estimator, Function, Need, Traits
from estimators.checks.cases import CASES, as_vectors, draws, fitting_cases
from estimators.checks.failure import CheckFailed
from estimators.tools.parameters import sample
from tests.support.few import spread

BATCH = 3
FEW = 3
"""Problems of each estimator in `make test`; the others are slow."""


def pairs():
    for name in estimators.available():
        for place, case in enumerate(fitting_cases(estimators.get(name))):
            marks = [pytest.mark.slow] if place >= FEW else []
            yield pytest.param(name, case, id=f"{name}-{case.name}", marks=marks)


@pytest.mark.parametrize(("name", "case"), list(pairs()))
def test_forward_mode_and_a_batched_pullback_give_the_gradient_of_reverse_mode(name, case):
    """The directional derivative is ⟨gradient, direction⟩; no element of a batch moves another's estimate."""
    estimator, values = estimators.get(name), {key: value.clone() for key, value in case.at(BATCH).items()}
    n = draws(estimator)

    def surrogate(values):
        torch.manual_seed(0)
        return estimator.surrogate(case.build(**values), case.f, n)

    gradient = torch.func.grad(lambda values: surrogate(values).sum())(values)
    torch.manual_seed(1)
    direction = {key: torch.randn_like(value) for key, value in values.items()}
    if case.name != "gamma":  # torch has no forward mode of its draws
        value, along, *_ = torch.func.jvp(surrogate, (values,), (direction,))
        assert torch.allclose(value, surrogate(values), rtol=1e-12)
        expected = (as_vectors(gradient, 1) * as_vectors(direction, 1)).sum(1)
        assert torch.allclose(along, expected, rtol=1e-8, atol=1e-10)
    _, pullback, *_ = torch.func.vjp(surrogate, values)
    (each,) = torch.func.vmap(pullback)(torch.eye(BATCH, dtype=torch.float64))
    for key, found in each.items():
        for element in range(BATCH):
            alone = torch.zeros_like(gradient[key])
            alone[element] = gradient[key][element]
            assert torch.allclose(found[element], alone, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("case", [each for each in CASES if each.name != "gamma"], ids=lambda case: case.name)
def test_constant_draws_have_no_tangent_and_are_those_of_torch(case):
    """The sample of a full normal has one in torch: it is `rsample` under `no_grad`."""

    def moved(draw):
        def seeded(values):
            torch.manual_seed(0)
            return draw(case.build(**values))

        values = {key: value.clone() for key, value in case.at(BATCH).items()}
        ones = {key: torch.ones_like(value) for key, value in values.items()}
        drawn, tangent, *_ = torch.func.jvp(seeded, (values,), (ones,))
        return drawn, tangent

    (drawn, tangent), (torchs, along) = moved(lambda q: sample(q, 2)), moved(lambda q: q.sample((2,)))
    assert torch.equal(drawn, torchs) and (tangent == 0).all()
    assert bool((along != 0).any()) == (case.name == "full normal")


def test_torch_has_no_forward_mode_of_a_gammas_draws():
    (case,) = [each for each in CASES if each.name == "gamma"]
    values = {key: value.clone() for key, value in case.at(BATCH).items()}
    with pytest.raises(NotImplementedError, match="_standard_gamma"):
        torch.func.jvp(lambda values: case.build(**values).sample((2,)), (values,), (values,))


@pytest.mark.parametrize("few", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["a few", "all"])
@pytest.mark.parametrize("name", estimators.available())
def test_every_estimator_goes_through_a_sweeps_passes(name, few):
    cases = fitting_cases(estimators.get(name))
    require_passes(estimators.get(name), spread(cases) if few else cases, 0)


@dataclass(frozen=True)
class ForwardMode(Estimator):
    """The pathwise gradient with ∂f/∂z by forward mode, a direction at a time."""

    traits = Traits(
        unbiased=True, needs=frozenset({Need.REPARAMETERISED, Need.DIFFERENTIABLE, Need.FACTORISED}), paper="a test's"
    )

    def surrogate(self, q, f, n):
        z = q.rsample((n,))
        held = z.detach()
        one = torch.zeros_like(held)
        slope = torch.zeros_like(held)
        value = f(held, q)
        for d in range(held.shape[-1]):
            one = torch.zeros_like(held)
            one[..., d] = 1
            slope[..., d] = torch.func.jvp(lambda x: f(x, q), (held,), (one,))[1].detach()
        return (value + ((z - held) * slope).sum(-1)).mean(0)


@dataclass(frozen=True)
class PerSample(Estimator):
    """The same by `torch.func.vmap` over the draws."""

    traits = ForwardMode.traits

    def surrogate(self, q, f, n):
        z = q.rsample((n,))
        held = z.detach()
        slope = torch.func.vmap(torch.func.grad(lambda x: f(x, q).sum()))(held)
        return (f(held, q) + ((z - held) * slope.detach()).sum(-1)).mean(0)


NORMAL = Problem(distributions.get("normal", size=3), objectives.get("quadratic"))


@pytest.mark.parametrize(("estimator", "expected"), [(ForwardMode(), (16, 12)), (PerSample(), (8, 4))])
def test_an_estimator_by_forward_mode_or_vmap_runs_and_is_counted(estimator, expected):
    """A derivative along a direction counts as a gradient, and each element of a mapped axis as a call."""
    check_passes_of_a_sweep(estimator, 0)
    assert count(Gradients(NORMAL, estimator, 4)) == expected
    assert "passes_of_a_sweep" in dict(checks_of(estimator))


@dataclass(frozen=True)
class Counting(Estimator):
    """Passes all that a loop asks for, and breaks where its operations are followed."""

    traits = Traits(unbiased=True, needs=frozenset({Need.DENSITY}), paper="a test's")

    def surrogate(self, q, f, n):
        if type(f).__call__ is not type(f).__mro__[-4].__call__ and "counted" in type(f).__call__.__qualname__:
            raise RuntimeError("not here")
        z = q.sample((n,))
        value = f.held(z, q)
        return (value + value.detach() * q.log_prob(z)).mean(0)


def test_a_check_fails_where_a_pass_of_a_sweep_does():
    with pytest.raises(CheckFailed, match="the pass that counts calls raises RuntimeError: not here"):
        check_passes_of_a_sweep(Counting(), 0)


def test_a_count_is_that_of_calls_under_every_transform():
    f, tally = counting(Function(lambda z: z.square().sum(-1)))
    q = Independent(Normal(torch.zeros(2), 1.0), 1)
    z = torch.ones(4, 2)

    def counts(work):
        tally.values = tally.gradients = 0
        work()
        return tally.values, tally.gradients

    one = torch.ones_like(z)
    assert counts(lambda: f(z, q)) == (4, 0)
    assert counts(lambda: torch.func.grad(lambda z: f(z, q).sum())(z)) == (4, 4)
    assert counts(lambda: torch.func.jvp(lambda z: f(z, q), (z,), (one,))) == (4, 4)
    assert counts(lambda: torch.func.vmap(lambda z: f(z, q))(z)) == (4, 0)
    assert counts(lambda: torch.func.vmap(torch.func.grad(lambda z: f(z, q)))(z)) == (4, 4)
    assert counts(lambda: torch.func.jacfwd(lambda z: f(z, q))(z)) == (4, 32)  # along 8 directions
    forward_over_reverse = torch.func.grad(lambda z: f(z, q).sum())
    assert counts(lambda: torch.func.jvp(forward_over_reverse, (z,), (one,)))[0] == 4
