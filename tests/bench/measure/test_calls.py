"""Calls of f and of its gradient, counted, against the catalogue's figures."""

import pytest
import torch

import estimators
from bench.distributions import distributions
from bench.measure.estimates.calls import count, counting
from bench.measure.estimates.gradients import Gradients
from bench.objectives import objectives
from bench.problems.problem import Problem
from estimators import Evidence

D = 3
BITS = Problem(distributions.get("bernoulli", size=D), objectives.get("quadratic_bits"))
NORMAL = Problem(distributions.get("normal", size=D), objectives.get("quadratic"))


@pytest.mark.parametrize(
    ("problem", "name", "samples", "expected"),
    [
        (BITS, "reinforce", 4, (4, 0)),
        (BITS, "rloo", 4, (4, 0)),
        (BITS, "self_critical", 4, (5, 0)),
        (BITS, "muprop", 4, (5, 1)),
        (BITS, "arm", 4, (4, 0)),
        (BITS, "disarm", 4, (4, 0)),
        (BITS, "gumbel_softmax", 2, (2, 2)),
        (BITS, "straight_through", 2, (2, 2)),
        (BITS, "rebar", 1, (3, 2)),
        (BITS, "exact", 1, (2**D, 0)),
        (NORMAL, "reparameterisation", 5, (5, 5)),
        (NORMAL, "measure_valued", 2, (2 * 4 * D, 0)),
    ],
)
def test_the_catalogues_evaluations(problem, name, samples, expected):
    assert count(Gradients(problem, estimators.get(name), samples)) == expected


def test_a_minibatch_counts_once():
    problem = Problem(distributions.get("bernoulli_encoder", size=32), objectives.get("digits_vae"), point="start")
    assert count(Gradients(problem, estimators.get("rloo"), 4)) == (4, 0)


def test_the_counted_objective_stays_what_it_was():
    f, tally = counting(Evidence(lambda z: -z.square().sum(-1)))
    assert isinstance(f, Evidence)
    q = BITS.build(BITS.encode(BITS.theta()))
    z = q.sample((6,))
    assert torch.equal(f.held(z, q), Evidence(lambda z: -z.square().sum(-1)).held(z, q))
    assert (tally.values, tally.gradients) == (6, 0)
