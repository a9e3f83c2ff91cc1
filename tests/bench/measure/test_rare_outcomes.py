"""Checks of draws against a density whose outcomes hardly occur: no false alarm, and wrong samplers still found."""

from dataclasses import dataclass

import pytest
import torch
from torch.distributions import Independent

import estimators
from bench.distributions import distributions
from bench.distributions.amortised import BernoulliEncoder, CategoricalEncoder
from bench.distributions.bernoulli import BernoulliFamily
from bench.distributions.categorical import CategoricalFamily, FastOneHot
from bench.measure.accuracy.rare_outcomes import rare_outcomes, rarest
from bench.measure.estimates.gradients import Gradients
from bench.objectives import objectives
from bench.problems.problem import Problem
from bench.validation.checks.families import (
    check_draws_are_independent,
    check_draws_follow_the_density,
    deviations,
    outcomes_behind,
)
from bench.validation.checks.problems import check_reference, standard_errors
from estimators.checks.failure import CheckFailed

CHANCES = [1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-9, 1e-12]


@dataclass(frozen=True)
class RareCategory(CategoricalFamily):
    """Three categories, the last with a small chance; `parameter` is what torch is given."""

    name = "rare_category"
    size: int = 1
    categories: int = 3
    chance: float = 1e-6
    parameter: str = "logits"

    def theta(self, point, coordinates):
        probs = torch.tensor([0.4, 0.6 - self.chance, self.chance], dtype=torch.float64)
        return {"logits": probs.log().expand(self.size, 3).clone()}

    def encode(self, theta, coordinates):
        return theta if self.parameter == "logits" else {"probs": theta["logits"].softmax(-1)}

    def build(self, parameters):
        return Independent(self.kind()(**parameters, validate_args=False), 1, validate_args=False)

    def kind(self):
        return FastOneHot if self.parameter == "logits" else torch.distributions.OneHotCategorical


@dataclass(frozen=True)
class RareBit(BernoulliFamily):
    name = "rare_bit"
    size: int = 1
    chance: float = 1e-6

    def theta(self, point, coordinates):
        return {"logits": torch.full((self.size,), self.chance, dtype=torch.float64).logit()}


class NeverTheLast(FastOneHot):
    """Draws the last category's share as the first."""

    def sample(self, sample_shape=()):
        z = super().sample(sample_shape).clone()
        z[..., 0] += z[..., -1]
        z[..., -1] = 0
        return z


@dataclass(frozen=True)
class WrongCategory(RareCategory):
    def kind(self):
        return NeverTheLast


def families(chance, sizes):
    for size in sizes:
        yield RareCategory(size=size, chance=chance)
        yield RareCategory(size=size, chance=chance, parameter="probs")
        yield RareBit(size=size, chance=chance)


@pytest.mark.parametrize("chance", CHANCES)
@pytest.mark.parametrize(("seeds", "sizes"), [(2, (1, 5)), pytest.param(200, (1, 2), marks=pytest.mark.slow)])
def test_an_outcome_that_is_hardly_drawn_is_no_finding(chance, seeds, sizes):
    for family in families(chance, sizes):
        for seed in range(seeds):
            check_draws_follow_the_density(family, seed)
        check_draws_are_independent(family, 0)


def test_a_category_of_logit_minus_14_that_was_never_drawn_is_no_finding():
    @dataclass(frozen=True)
    class Shown(RareCategory):
        def theta(self, point, coordinates):
            return {"logits": torch.tensor([[0.0, 0.0, -14.0]], dtype=torch.float64)}

    check_draws_follow_the_density(Shown(), 0)


@pytest.mark.parametrize("size", [1, 5])
@pytest.mark.parametrize("chance", [0.003, 0.05, 0.5])
def test_a_sampler_that_never_draws_what_is_due_is_found(size, chance):
    """0.003 of 20,000 draws are 60: none of them is a chance of e^−60."""
    check_draws_follow_the_density(RareCategory(size=size, chance=chance), 0)
    with pytest.raises(CheckFailed):
        check_draws_follow_the_density(WrongCategory(size=size, chance=chance), 0)


@dataclass(frozen=True)
class Constant(BernoulliFamily):
    """Draws zeros for the first `bits` bits, whatever their chances."""

    name = "constant"
    size: int = 2
    bits: int = 1

    def build(self, parameters):
        q = super().build(parameters)
        draw = q.sample

        def sample(sample_shape=()):
            keep = torch.arange(self.size) >= self.bits
            return draw(sample_shape) * keep

        q.sample = sample
        return q


def test_a_bit_that_is_stuck_is_found():
    with pytest.raises(CheckFailed):
        check_draws_follow_the_density(Constant(), 0)
    with pytest.raises(CheckFailed, match="same value"):
        check_draws_are_independent(Constant(bits=2), 0)


@pytest.mark.parametrize("at", [3.0, 3.6, 4.5, 6.0, 9.0])
def test_an_exact_gradient_of_an_event_that_was_hardly_seen_is_no_finding(at):
    check_reference(Problem(distributions.get("normal", size=1), objectives.get("step", at=at)), 0)


def test_a_wrong_exact_gradient_is_found_beside_an_event_that_was_never_seen():
    x = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[:, 1] = 0
    slack = torch.zeros(2, dtype=torch.float64)
    assert standard_errors(x, torch.tensor([0.0, 1e-6], dtype=torch.float64), slack) < 6
    assert standard_errors(x, torch.tensor([0.2, 1e-6], dtype=torch.float64), slack) > 6


@pytest.mark.parametrize("point", ["default", "extreme"])
@pytest.mark.parametrize(
    "family",
    [
        BernoulliEncoder(size=4, batch=8),
        BernoulliEncoder(size=1, batch=1),
        BernoulliEncoder(size=3, batch=20),
        CategoricalEncoder(size=2, categories=3, batch=7),
        CategoricalEncoder(size=1, categories=5, batch=12),
    ],
    ids=lambda family: f"{family.name}-{family.size}-{family.batch}",
)
def test_rare_outcomes_of_a_weight_are_those_of_the_data_that_it_moves(family, point):
    """Counted by hand: a weight of a pixel moves its output for the images with that pixel on."""
    problem = Problem(family, objectives.get("squared_sum"), point=point)
    gradients = Gradients(problem, estimators.get("reinforce"), 1)
    found, pixels = rarest(gradients), (family.images() != 0).double()  # [data, …], [data, pixels]
    assert found is not None
    chance = found.flatten(1)
    due = torch.einsum("do,dp->op", chance, pixels)
    moves = pixels.any(0)
    rare = []
    for outcomes_due in (0.01, 1.0, 26.0, 300.0, 1e9):
        replicates = max(1, round(outcomes_due / float(chance.sum(0).max())))
        expected = torch.cat([((due * replicates < 25) & moves).flatten(), chance.sum(0) * replicates < 25])
        marked = rare_outcomes(gradients, replicates)
        assert marked is not None and marked.tolist() == expected.tolist()
        rare.append(expected.double().mean())
    assert rare[0] > 0.2 and rare[-1] == 0


def test_a_weight_can_be_rare_where_its_bit_is_not():
    gradients = Gradients(
        Problem(BernoulliEncoder(size=4, batch=8), objectives.get("squared_sum"), point="extreme"),
        estimators.get("reinforce"),
        1,
    )
    chance = rarest(gradients)
    assert chance is not None
    found = rare_outcomes(gradients, int(30 / chance.sum(0).max()))
    assert found is not None
    weights, bits = found[:-4].reshape(4, -1), found[-4:]
    assert (weights & ~bits[:, None]).any()


def test_deviations_are_standard_errors_where_no_number_is_large():
    x = torch.randn(40_000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.03
    plain = x.mean(0) / (x.std(0) / 200)
    assert float(deviations(x, x.var(0)) / plain) == pytest.approx(1, abs=0.03)
    assert float(outcomes_behind(x)) > 10_000
