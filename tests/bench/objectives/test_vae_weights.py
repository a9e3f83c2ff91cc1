"""Gradients in the decoder's weights beside the encoder's."""

import pytest
import torch

import estimators
from bench.distributions.amortised import BernoulliEncoder, CategoricalEncoder, NormalEncoder
from bench.distributions.base import Family
from bench.measure.estimates.calls import count
from bench.measure.estimates.gradients import Gradients
from bench.objectives.vae import DigitsVae
from bench.objectives.vae_weights import DigitsVaeWeights
from bench.problems.exact import Reference, reference
from bench.problems.problem import Problem
from bench.problems.theta import as_vector, blocks
from estimators.tools.parameters import support
from tests.support.exactness import assert_unbiased

ENCODER, DECODER = {"weight", "bias"}, {"decoder_weight", "decoder_bias"}


def problem(family: Family, hidden: int = 0, point: str = "start") -> Problem:
    return Problem(family, DigitsVaeWeights(hidden), point=point)


def exactly(which: Problem) -> Reference:
    found = reference(which)
    assert found is not None
    return found


def test_the_encoders_part_is_that_of_a_constant_decoder():
    """Enumeration on one side, a one-dimensional integral on the other."""
    family = BernoulliEncoder(size=6, batch=2)
    both, fixed = exactly(problem(family)), exactly(Problem(family, DigitsVae(), point="start"))
    assert (both.method, fixed.method) == ("enumeration", "closed form")
    assert set(both.gradient) == ENCODER | DECODER
    for name in ENCODER:
        assert torch.allclose(both.gradient[name], fixed.gradient[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("hidden", [0, 4])
def test_the_decoders_part_is_the_difference_quotient(hidden):
    which = problem(BernoulliEncoder(size=4, batch=2), hidden)
    exact, theta, h = exactly(which), which.theta(), 1e-5
    for name in set(theta) - ENCODER:
        bounds = []
        for step in (h, -h):
            moved = theta[name].clone()
            moved.view(-1)[1] += step
            q = which.build(which.encode(theta))
            z = support(q)
            f = which.at(which.function(theta["weight"]), which.encode(theta | {name: moved}))
            bounds.append(which.reduce((q.log_prob(z).exp() * f(z, q)).sum(0)))
        slope = float((bounds[0] - bounds[1]) / (2 * h))
        assert slope == pytest.approx(float(exact.gradient[name].flatten()[1]), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("family", "name"),
    [
        (BernoulliEncoder(size=5, batch=2), "disarm"),
        (CategoricalEncoder(size=3, batch=2), "rloo"),
        (NormalEncoder(size=3, batch=2), "reparameterisation"),
    ],
)
def test_every_block_is_unbiased(family, name):
    which = problem(family)
    torch.manual_seed(0)
    sample = Gradients(which, estimators.get(name), 8)(4_000)
    assert_unbiased(sample, as_vector(exactly(which).gradient), resolution=0.08)


def test_a_baseline_leaves_the_decoders_part_alone():
    """At the same draws, REINFORCE, leave-one-out and the greedy baseline give one gradient in the decoder."""
    which = problem(BernoulliEncoder(size=5, batch=2))
    own = blocks(which.theta())
    found = []
    for name in ("reinforce", "rloo", "self_critical"):
        torch.manual_seed(0)
        found.append(Gradients(which, estimators.get(name), 4)(8))
    for name in DECODER:
        assert torch.allclose(found[0][:, own[name]], found[1][:, own[name]], rtol=1e-10)
        assert torch.allclose(found[0][:, own[name]], found[2][:, own[name]], rtol=1e-10)
    assert not torch.allclose(found[0][:, own["weight"]], found[1][:, own["weight"]])


def test_calls_are_still_counted():
    which = problem(BernoulliEncoder(size=4, batch=2))
    assert count(Gradients(which, estimators.get("rloo"), 4)) == (4.0, 0.0)


@pytest.mark.parametrize("family", [BernoulliEncoder(size=5, batch=2), CategoricalEncoder(size=3, batch=2)])
def test_with_a_linear_decoder_the_closed_form_is_the_enumeration(family, monkeypatch):
    every = exactly(problem(family))
    monkeypatch.setattr("bench.objectives.vae_weights.MAX_STATES", 1)
    closed = exactly(problem(family))
    assert (every.method, closed.method) == ("enumeration", "closed form")
    for name, exact in every.gradient.items():
        assert torch.allclose(closed.gradient[name], exact, rtol=0, atol=1e-12)


def test_many_bits_have_an_exact_gradient_in_a_linear_decoders_weights():
    which = problem(BernoulliEncoder(size=16, batch=1))
    assert which.misfit() is None
    assert exactly(which).method == "closed form"
    torch.manual_seed(0)
    sample = Gradients(which, estimators.get("disarm"), 4)(4_000)
    assert_unbiased(sample, as_vector(exactly(which).gradient), resolution=0.1)


def test_many_values_are_refused():
    assert "at most 4,096 values" in str(problem(BernoulliEncoder(), hidden=3).misfit())
    assert "linear decoder only" in str(problem(NormalEncoder(), hidden=3).misfit())
