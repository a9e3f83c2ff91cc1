"""The second stage settles unclear verdicts, changes no variance, and judges nothing that it cannot see."""

import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch

import estimators
from bench.distributions import distributions
from bench.measure.accuracy import accuracy, second_stage
from bench.measure.accuracy.accuracy import measure_accuracy
from bench.measure.accuracy.adjusted_mean import Adjustment, adjustment
from bench.measure.accuracy.fitted_model import fitted_model
from bench.measure.accuracy.stopping import AccuracySettings
from bench.measure.estimates.gradients import Gradients
from bench.measure.estimates.prepared import Execution
from bench.objectives import objectives
from bench.problems.exact import reference
from bench.problems.problem import Problem
from bench.statistics.batch_means import BatchMeans
from bench.statistics.control import Control
from bench.tables.metrics import Outcome
from estimators import Estimator
from tests.support.adjusted import RIGHT, ScaledBit, Selected, Shrunk, WrongBits, WrongSampler

BITS = Problem(distributions.get("bernoulli", size=3), objectives.get("quadratic_bits"))
FEW = AccuracySettings(precision=0.1, bias_resolution=0.02, max_replicates=8192)


def outcome(
    problem: Problem = BITS, estimator: Estimator = RIGHT, mode: str = "eager", settings: AccuracySettings = FEW
) -> Outcome:
    execution = Execution("cell", 0, mode=mode)
    return measure_accuracy(problem, estimator, 2, settings, reference(problem), execution=execution)


def rows(found: Outcome) -> dict:
    return {row.metric: row for row in found.measurements if row.block == "all"}


def test_an_unclear_verdict_is_settled_and_the_variance_stays(monkeypatch):
    after = outcome()
    monkeypatch.setattr(accuracy, "settled_again", lambda first, *more: first)
    before = outcome()
    assert (before.verdict, after.verdict) == ("unclear", "unbiased")
    assert "less a model of f" in after.reason
    for metric in ("variance", "variance_max", "mse", "snr", "tail_index"):
        assert rows(after)[metric] == rows(before)[metric]
    assert after.replicates == before.replicates
    one, other = rows(before)["relative_bias"], rows(after)["relative_bias"]
    assert other.ci_high < one.ci_high / 10 and "less a model of f" in other.method
    assert after.direction == "aligned"


@pytest.mark.parametrize(
    ("problem", "estimator"),
    [(BITS, "rloo"), (Problem(distributions.get("normal", size=2), objectives.get("linear")), "reparameterisation")],
)
def test_a_settled_verdict_has_no_second_stage(problem, estimator, monkeypatch):
    monkeypatch.setattr(second_stage, "adjustment", lambda *given: pytest.fail("a second stage"))
    assert outcome(problem, estimators.get(estimator), settings=AccuracySettings()).verdict == "unbiased"


def test_detailed_covariates_are_tried_where_the_few_ones_gain_too_little(monkeypatch):
    asked = []
    offer = second_stage.adjustment
    monkeypatch.setattr(
        second_stage,
        "adjustment",
        lambda *given, detailed: (asked.append(detailed), offer(*given, detailed=detailed))[1],
    )
    assert outcome().verdict == "unbiased" and not any(asked)
    found = outcome(estimator=estimators.get("independent_baseline"), settings=replace(FEW, max_replicates=4096))
    assert found.verdict == "unbiased" and any(asked)
    assert "less a model of f" in found.reason


def test_a_bias_that_detailed_covariates_show_has_a_control_with_them():
    """A parity's gradient is a hundredth of its noise: a control without them sees nothing."""
    found = outcome(Problem(distributions.get("bernoulli", size=5), objectives.get("parity")), Shrunk())
    assert found.verdict == "biased", found.reason
    assert rows(found)["relative_bias"].ci_low < 0.1 < rows(found)["relative_bias"].ci_high


HEAVY = Problem(distributions.get("normal", size=1), objectives.get("exponential"))


def test_the_heavy_rest_of_a_model_is_made_lighter(monkeypatch):
    """Without it a test of the mean waits for 25 κ replicates, more than the gain saves."""
    settings = AccuracySettings(bias_resolution=0.03, max_replicates=8192)
    found = outcome(HEAVY, settings=settings)
    assert found.verdict == "unbiased" and "less a model of f" in found.reason
    monkeypatch.setattr(Adjustment, "tempered", lambda self, gain: self)
    assert outcome(HEAVY, settings=settings).verdict == "unclear"


@pytest.mark.parametrize("estimator", [ScaledBit(), Selected(), WrongSampler()], ids=lambda each: type(each).__name__)
def test_a_wrong_estimator_is_never_called_unbiased(estimator):
    assert outcome(estimator=estimator).verdict != "unbiased"


def test_a_small_bias_that_plain_estimates_do_not_show_is_found():
    """5 % on a bit are 3 % of the gradient, which the plain estimates do not show; a control sees it, too."""
    found = outcome(estimator=ScaledBit(), settings=replace(FEW, bias_resolution=0.01))
    assert found.verdict == "biased", found.reason
    low, high = rows(found)["relative_bias"].ci_low, rows(found)["relative_bias"].ci_high
    exact = reference(BITS)
    assert exact is not None
    g = exact.gradient["logits"].numpy()
    assert low < 0.05 * abs(g[0]) / np.linalg.norm(g) < high


def test_a_family_whose_draws_are_wrong_is_told_and_not_judged_anew():
    found = outcome(Problem(WrongBits(), objectives.get("quadratic_bits")), estimators.get("rloo"))
    assert found.verdict == "unclear"
    assert "the draws of q do not follow its density" in found.reason


def test_a_control_that_is_not_precise_enough_withholds_a_verdict():
    batches = np.random.default_rng(0).standard_normal((64, 2))
    off, target = np.array([0.1, 0.0]), np.zeros(2)
    batches -= batches.mean(0)
    control = Control(varies=True, batches=BatchMeans.of(batches))
    assert not control.misses(target, off, 0.0)
    assert replace(control, sharp=True).misses(target, off, 0.0)
    assert not replace(control, sharp=True, batches=BatchMeans.of(batches / 100)).misses(target, off, 0.0)


def test_a_second_stage_that_would_take_too_much_memory_is_left_out(monkeypatch):
    gradients = Gradients(BITS, estimators.get("rloo"), 2)
    args = (64, lambda stage: zlib.crc32(str(stage).encode()), np.zeros(BITS.dim))
    assert adjustment(gradients, *args) is not None
    monkeypatch.setattr("bench.measure.accuracy.adjusted_mean.LARGEST_MODEL", 100)
    assert adjustment(gradients, *args) is None


def test_a_model_that_would_take_too_much_memory_is_not_fitted():
    wide = Problem(distributions.get("normal", size=3_000), objectives.get("quadratic"))
    assert fitted_model(wide, torch.float64, torch.device("cpu")) is None
