"""Forty models of the kinds that people have: the answer beside plain training loops.

The quick ones race a few estimators at a cost that is counted, so that a busy machine changes nothing; the slow ones
(`make test-all`) race all of them for 60 s of processor time.
"""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from typing import Any

import pytest

from bench.advice.workshop import Workshop
from estimators import available, get
from tests.support.forty_models import MODELS, QUICK
from tests.support.own_models import advice, source_of
from tests.support.plain_loops import arms_of, best_of, made, plain_loop

pytestmark = pytest.mark.usefixtures("processor_clock")
WITHIN = 1.25
"""Times the best plain loop's variance × cost that an answer may have."""
FEW = ("exact", "reinforce", "rloo", "disarm", "local_expectation", "reparameterisation", "measure_valued")


def test_there_are_forty_and_ten_are_quick():
    assert len(MODELS) == 40 and len(QUICK) == 10 and set(QUICK) <= set(MODELS)


def fitting(model: Any) -> tuple[str, ...]:
    """Those of the few that fit a model."""
    shop = Workshop(source_of(model))
    return tuple(dict.fromkeys(name for name, _ in arms_of(shop, FEW, (2, 4))))


SECONDS = {"bits_with_a_threshold", "gamma_rates", "mixture_of_normals", "quadratic_normal", "recurrent_policy"}
"""Models whose plain loops take more than two seconds: in `make test-all`."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SECONDS else ()) for name in QUICK]
)
def test_the_answer_is_as_good_as_the_best_plain_loop(name: str):
    """By 300 steps of each loop; three standard errors of both variances beside the factor."""
    names = fitting(MODELS[name]())
    found = advice(MODELS[name](), 2.0, (2, 4), names=names, cost="calls")
    if not found.conclusive:
        assert "would do" in found.sentence
        return
    shop = Workshop(source_of(MODELS[name]()))
    own = plain_loop(shop, made(found.code), found.samples or 1, 300)
    first = found.table.loc[0]
    if first["variance"] == 0:
        assert own.variance == 0
        return
    assert first["variance"] == pytest.approx(own.variance, rel=0.2 + 4 * own.error)
    for row in found.table[found.table["state"].isin(["open", "out"])].dropna(subset="step").to_dict("records"):
        loop = plain_loop(shop, get(row["estimator"]), row["samples"], 300)
        allowed = WITHIN * (1 + 3 * (own.error + loop.error))
        assert own.variance * first["step"] <= allowed * loop.variance * row["step"], row["estimator"]


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_minute_gives_an_answer_within_a_quarter_of_the_best(name: str):
    found = advice(MODELS[name](), 60.0)
    if not found.conclusive:
        assert "would do" in found.sentence
        return
    shop = Workshop(source_of(MODELS[name]()))
    own = plain_loop(shop, made(found.code), found.samples or 1, 10_000)
    assert own.product <= WITHIN * best_of(shop, arms_of(shop, available(), (1, 2, 4, 16, 64)), 10_000, own)
