"""The noise of f on its own random numbers."""

from collections.abc import Callable

import pytest
import torch
from torch.distributions import Normal

from estimators import Evidence, Function, Objective, Terms, one_noise
from estimators.tools.noise_of_f import NoiseSource, drawing_from

Q = Normal(torch.zeros(3), 1.0)
OBJECTIVES = {
    "Function": Function(lambda z: z + torch.randn(z.shape)),
    "Evidence": Evidence(lambda z: z + torch.randn(z.shape)),
    "Terms": Terms(lambda z: z.unsqueeze(-1) + torch.randn(*z.shape, 2), torch.ones(2, 1)),
}


def kind_of(f: Objective) -> str:
    return next(cls.__name__ for cls in type(f).__mro__ if cls.__name__ in OBJECTIVES)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_source_with_the_same_seed_gives_the_same_noise_call_by_call(name):
    z = torch.zeros(4, 3)
    first, second = (drawing_from(OBJECTIVES[name], NoiseSource(7)) for _ in range(2))
    one, other = first(z, Q), first(z, Q)
    assert not torch.equal(one, other)
    assert torch.equal(second(z, Q), one) and torch.equal(second(z, Q), other)
    assert isinstance(first, type(OBJECTIVES[name])) and kind_of(first) == name


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_draws_are_those_of_an_objective_without_noise(name):
    """f's noise takes nothing from torch's generator, so that z is the same whatever f draws."""
    f = drawing_from(OBJECTIVES[name], NoiseSource(7))
    torch.manual_seed(0)
    f(torch.zeros(4, 3), Q)
    after, seed = torch.rand(3), torch.initial_seed()
    torch.manual_seed(0)
    assert torch.equal(after, torch.rand(3)) and seed == 0


def test_one_noise_is_the_same_in_every_call_and_another_in_the_next_step():
    z = torch.zeros(4, 3)
    torch.manual_seed(0)
    for f in OBJECTIVES.values():
        step, next_step = one_noise(f), one_noise(f)
        assert torch.equal(step(z, Q), step(z, Q)) and torch.equal(step.held(z, Q), step.held(z, Q))
        assert not torch.equal(step(z, Q), next_step(z, Q))


def test_a_coupling_of_two_calls_keeps_what_it_saves_with_one_noise():
    """f = z² + ε z at z and −z: the slopes 2z + ε and −2z + ε′ have the mean ε with one noise, else (ε + ε′)/2."""

    def spread(of_step: Callable[[Objective], Objective]) -> float:
        torch.manual_seed(0)
        theta, found = torch.zeros(1, requires_grad=True), []
        for _ in range(400):
            q, f = Normal(theta, 1.0), of_step(Function(lambda z: z.square() + torch.randn(()) * z))
            noise = torch.randn(1)
            value = (f(theta + noise, q) + f(theta - noise, q)).sum() / 2
            found.append(torch.autograd.grad(value, theta)[0])
        return float(torch.stack(found).var())

    assert spread(one_noise) == pytest.approx(1.0, rel=0.35)
    assert spread(lambda f: f) == pytest.approx(0.5, rel=0.35)
