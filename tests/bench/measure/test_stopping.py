"""When sampling stops: budgets of evaluations and of seconds."""

from dataclasses import replace
from itertools import count
from unittest.mock import patch

import numpy as np
import pytest
import torch

import estimators
from bench.distributions import distributions
from bench.measure.accuracy import accuracy
from bench.measure.accuracy.stopping import AccuracySettings, Ended, Sampling
from bench.measure.accuracy.variance_parts import parts_until_precise
from bench.measure.estimates.prepared import Execution
from bench.objectives import objectives
from bench.plugins.settings import identifying
from bench.problems.exact import reference
from bench.problems.problem import Problem
from bench.statistics.stream import Replicates
from estimators.errors import BadInput

CHUNK = 256
HARD = AccuracySettings(precision=1e-4, bias_resolution=1e-3, max_replicates=65_536)
"""Neither the variance nor the verdict is known before the budget ends."""


def sampled(settings: AccuracySettings, seconds_per_chunk: float = 1.0) -> tuple[Replicates, Ended]:
    """The sampling of estimates with mean (1, 1), of which each chunk takes as long on a fake clock."""
    kept, time = Replicates({"all": slice(0, 2)}, np.ones(2), np.zeros(2)), [0.0]

    def draw(index: int) -> torch.Tensor:
        time[0] += seconds_per_chunk
        return 1 + torch.randn(CHUNK, 2, generator=torch.Generator().manual_seed(index), dtype=torch.float64)

    return kept, Sampling(draw, CHUNK, kept, settings, clock=lambda: time[0]).run()


@pytest.mark.parametrize(("most", "drawn"), [(3.9, 1024), (15.9, 1024), (16.0, 4096), (64.0, 16_384), (256.0, 65_536)])
def test_a_look_that_would_end_too_late_does_not_begin(most, drawn):
    kept, ended = sampled(replace(HARD, max_seconds=most))
    assert (kept.drawn, ended.stop_reason) == (drawn, "budget")
    assert ("max_seconds" in ended.verdict.reason) == (drawn < 65_536)


def test_an_early_end_has_the_numbers_of_its_look_and_of_a_smaller_budget_no_other_level():
    """The level is shared among all planned looks, so that the clock cannot make a verdict easier."""
    early, ended = sampled(replace(HARD, max_seconds=20.0))
    whole, _ = sampled(HARD)
    same, other = Replicates({"all": slice(0, 2)}, np.ones(2), np.zeros(2)), count()

    def draw(index: int) -> torch.Tensor:
        assert index == next(other)
        return 1 + torch.randn(CHUNK, 2, generator=torch.Generator().manual_seed(index), dtype=torch.float64)

    looks = Sampling(draw, CHUNK, same, HARD)
    for look in looks.looks[:2]:
        same.look()
        looks.fill(look)
    assert np.array_equal(early.total.mean, same.total.mean) and early.drawn == 4096 < whole.drawn
    assert ended.verdict.word == "unclear" and ended.verdict.p == looks.verdict(False).p


def test_a_clock_that_ends_at_a_settled_verdict_keeps_it():
    easy = AccuracySettings(precision=1e-4, bias_resolution=0.5, max_replicates=65_536, max_seconds=5.0)
    kept, ended = sampled(easy)
    assert (kept.drawn, ended.verdict.word, ended.stop_reason) == (1024, "unbiased", "budget")
    assert "of at most 65,536 estimates" in ended.verdict.reason


def test_evaluations_bind_whatever_the_smallest_number_of_replicates():
    within = AccuracySettings(max_evaluations=1_000_000).within
    assert within(200_000.0).max_replicates == within(200_000.0).min_replicates == 64
    assert within(2_000.0).max_replicates == 500
    assert (within(2.0).min_replicates, within(2.0).max_replicates) == (1024, 500_000)


def test_max_seconds_refuses_nonsense_and_changes_no_id_by_default():
    with pytest.raises(BadInput, match="max_seconds must be above 0"):
        AccuracySettings(max_seconds=0.0)
    assert "max_seconds" not in identifying(AccuracySettings())
    assert identifying(AccuracySettings(max_seconds=3.0))["max_seconds"] == 3.0


@pytest.mark.parametrize(("most", "stages"), [(1e-9, 0), (1e9, 1)])
def test_a_cell_whose_time_is_up_gets_no_second_stage(most, stages):
    problem = Problem(distributions.get("bernoulli", size=3), objectives.get("quadratic_bits"))
    settings = AccuracySettings(precision=1e-4, bias_resolution=0.5, max_replicates=65_536, max_seconds=most)
    with patch.object(accuracy, "settled_again", side_effect=lambda first, *rest: first) as second:
        found = accuracy.measure_accuracy(
            problem, estimators.get("reinforce"), 2, settings, reference(problem), execution=Execution("cell", 0)
        )
    assert (second.call_count, found.stop_reason) == (stages, "budget")
    assert (found.replicates or 0) < 65_536 if not stages else found.replicates == 65_536


def test_triples_end_with_the_time_too():
    rows = torch.randn(65_536, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    kept = Replicates({"all": slice(0, 2)}, None, None)
    kept.add(rows)
    drawn = []

    def triple(index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        drawn.append(index)
        return rows[:1024], rows[1024:2048], rows[2048:3072]

    settings = AccuracySettings(precision=1e-6, max_seconds=1e-9)
    assert parts_until_precise(triple, 1024, kept, settings, ("draws",)).count == 1024 and drawn == [0]
