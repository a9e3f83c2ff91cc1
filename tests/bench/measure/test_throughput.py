"""Timing one estimator on one problem: a real smoke; the device's time and clocks on devices that are made up."""

import torch

import estimators
from bench.distributions import distributions
from bench.measure.estimates.gradients import Gradients
from bench.measure.estimates.prepared import Execution
from bench.measure.timing import throughput
from bench.measure.timing.blocks import ThroughputSettings, timed
from bench.measure.timing.throughput import measure_throughput
from bench.objectives import objectives
from bench.problems.problem import Problem

PROBLEM = Problem(distributions.get("bernoulli", size=5), objectives.get("quadratic_bits"))
QUICK = ThroughputSettings(0.2, 0.05)
HERE = Execution("c", 0, dtype=torch.float32)


def rows(name="rloo", samples=4, settings=QUICK, execution=HERE):
    outcome = measure_throughput(PROBLEM, estimators.get(name), samples, settings, execution)
    return {row.metric: row for row in outcome.measurements}, outcome


def test_measures_for_real_and_keeps_the_generator():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    found, outcome = rows()
    assert set(found) == {
        "seconds_per_estimate",
        "random_seconds_per_estimate",
        "first_call_seconds",
        "peak_memory",
    }
    row, random = found["seconds_per_estimate"], found["random_seconds_per_estimate"]
    assert 0 < (row.ci_low or 0) <= (row.value or 0) <= (row.ci_high or 0) < 1
    assert 0 < (random.value or 0) < (row.value or 0)
    assert random.method.startswith("its 20 random numbers")
    assert "drift" in row.method
    assert (found["peak_memory"].value or 0) >= outcome.replicates * 4 * 5 * 4  # the draws alone
    assert torch.equal(before, torch.random.get_rng_state())


def test_what_draws_nothing_has_no_random_numbers_to_time():
    found, _ = rows("exact", samples=1)
    assert "random_seconds_per_estimate" not in found


def test_replicates_of_a_step_are_chosen_for_a_saturation_curve():
    for replicates in (2, 64):
        found, outcome = rows(settings=ThroughputSettings(0.2, 0.05, replicates))
        assert outcome.replicates == replicates
        assert f"{replicates} replicates per step" in found["seconds_per_estimate"].method


def test_an_accelerators_time_is_a_row_that_says_how_it_was_found_and_what_it_covers():
    timing = timed(lambda number: 0.002 * number, QUICK)
    row = throughput.device_row(timing, 100, "made up")
    assert (row.metric, row.value, row.method) == (
        "device_seconds_per_estimate",
        2e-5,
        "made up; within this visit only",
    )


def test_compiling_stands_apart():
    found = {row.metric: row for row in throughput.first_rows(3.0, 0.5, "compile")}
    assert (found["first_call_seconds"].value, found["compile_seconds"].value) == (3.0, 2.5)
    assert [row.metric for row in throughput.first_rows(3.0, 0.5, "eager")] == ["first_call_seconds"]


def test_torchs_timer_warms_up_before_a_block_and_the_first_call_stands_apart():
    calls = []
    assert throughput.first_call(lambda: calls.append(0)) > 0
    assert len(calls) == 1
    assert throughput.wall(lambda: calls.append(0))(300) > 0
    assert len(calls) == 1 + 3 + 300


def test_the_devices_time_of_a_graph_captures_the_eager_step(monkeypatch):
    steps = {mode: (lambda mode=mode: ()) for mode in ("eager", "compile", "graph")}
    monkeypatch.setattr(throughput, "whole_step", lambda gradients, replicates, mode: steps[mode])
    for mode, taken in {"eager": "eager", "compile": "compile", "graph": "eager"}.items():
        monkeypatch.setattr(Gradients, "by", lambda self, estimator, samples=None, mode="eager": self)
        with throughput.Warm(PROBLEM, estimators.get("rloo"), 4, QUICK, Execution("c", 0, mode=mode)) as warm:
            assert warm._uncaptured is steps[taken]
