"""The committed table of verdicts: up to date, in accord with the traits, and with the biases that theory gives."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import bench
from bench.distributions import distributions
from bench.validation.exactness import BOUND, exactness_page, span, verdict_rows
from estimators.registry import estimators

FOLDER = Path(__file__).parents[3] / "results" / "exactness"
DRAWS = 8


@pytest.fixture(scope="module")
def table():
    return bench.load(FOLDER)


@pytest.fixture(scope="module")
def found(table):
    return verdict_rows(table)


def test_the_page_is_up_to_date(table):
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == exactness_page(table), (
        "run: python -m bench.validation.exactness"
    )


def test_no_other_estimator_is_there_and_nothing_failed(table, found):
    own = {name for name, cls in estimators if cls.__module__.startswith("estimators.")}
    assert set(found.estimator) <= own, "results/exactness has estimators that are gone: run make exactness"
    assert set(table.status) <= {"ok", "not_applicable"}


def test_references_are_ten_times_finer(found):
    assert found.reference_error.max() < BOUND / 10


def test_declared_unbiased_is_found_unbiased(found):
    """On three problems, one of them extreme, and in float32; and never found biased."""
    unbiased = found[found.declared == "unbiased"]
    assert set(unbiased.verdict) <= {"unbiased", "unclear"}
    for label, own in unbiased[unbiased.verdict == "unbiased"].groupby("label"):
        assert own[own.dtype == "float64"].problem.nunique() >= 3, label
        assert own.extreme.any() and (own.dtype == "float32").any(), label


def test_declared_biased_is_found_biased_somewhere(found):
    biased = found[found.declared == "biased"]
    assert set(biased.label) == set(biased[biased.verdict == "biased"].label)


def scales(table, estimator, where):
    """Value and standard error of `scale` in the rows of an estimator."""
    rows = table[(table.estimator == estimator) & (table.metric == "scale") & (table.block == "all") & where(table)]
    assert len(rows)
    return rows.value.to_numpy(float), (rows.ci_high - rows.ci_low).to_numpy(float) / 3.92, rows


def agree(value, error, truth):
    """Within 5.5 standard errors, or to the rounding of float32 where there are none."""
    assert np.all(np.abs(value - truth) <= 5.5 * error + 1e-5), (value, truth, error)


def test_a_group_mean_shrinks_by_one_draw(table):
    value, error, _ = scales(table, "group_mean", lambda t: t.samples == DRAWS)
    agree(value, error, 1 - 1 / DRAWS)


@pytest.mark.parametrize("name", ["finite_differences", "spsa"])
def test_differences_of_a_cosine(table, name):
    """Both replace sin(kz) by sin(kz) · sin(kc)/kc."""
    value, error, rows = scales(table, name, lambda t: t.objective == "cosine")
    k, c = json.loads(rows.objective_params.iloc[0])["frequency"], json.loads(rows.estimator_params.iloc[0])["step"]
    agree(value, error, math.sin(k * c) / (k * c))


def test_straight_through_on_quadratic_bits(table):
    """Its mean is 2p(1−p)(p − t) in each logit, where the gradient is p(1−p)(1 − 2t)."""
    for point in ("default", "extreme"):
        value, error, rows = scales(
            table, "straight_through", lambda t, at=point: (t.objective == "quadratic_bits") & (t.point == at)
        )
        t = json.loads(rows.objective_params.iloc[0])["t"]
        p = distributions.get("bernoulli", size=3).theta(point, "unconstrained")["logits"].sigmoid()
        mean, exact = 2 * p * (1 - p) * (p - t), p * (1 - p) * (1 - 2 * t)
        agree(value, error, float(torch.dot(mean, exact) / exact.square().sum()))


def test_reinmax_is_exact_on_quadratics_alone(found):
    own = found[found.label == "reinmax"]
    curved = own.problem.str.contains("mixture_assignments")
    assert set(own[~curved].verdict) == {"unbiased"} and set(own[curved].verdict) == {"biased"}


def test_span():
    assert span([-0.25, 1.5]) == "-.25 – 1.50"
