"""The winner of a kind: unbiased, of least variance at equal time, with what it leads by and who may be as good."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from functools import cache

import numpy as np
import pandas as pd
import pytest

from bench.analysis.comparison import compare_estimators
from bench.analysis.winners import Winner, bias_bound, kind_winners, unbiased_estimators, winners_by_size
from bench.tables.folder import load
from bench.tables.wide import wide_table
from tests.support.tables import PROBLEMS, cell, table, typed


@cache
def reference() -> pd.DataFrame:
    return wide_table(load("results/reference"))


@cache
def of_reference() -> dict[tuple[str, int], Winner]:
    return {(each.kind, each.samples): each for each in kind_winners(reference())}


def test_the_reference_says_which_estimator_for_bits_at_four_samples():
    """Which unbiased one, how much better than the next, how sure, how biased at most: as the table says itself."""
    found = of_reference()["bits", 4]
    rows = reference()
    own = rows[(rows["kind"] == "bits") & (rows["samples"] == 4)]
    pairs = compare_estimators(own, baseline=found.runner_up).overall.set_index(["equal", "estimator"])
    for way, ratio in found.over_runner_up.items():
        row = pairs.loc[(way, found.estimator)]
        assert tuple(ratio.measured) == pytest.approx((row["ratio"], row["ratio_low"], row["ratio_high"]))
    assert found.decided_at == "seconds" and found.over_runner_up["seconds"].value < 1
    assert (found.problems, found.of_problems) == (6, 6) and found.reference == "rloo"
    biases = own.loc[own["estimator"] == found.estimator, "relative_bias_high"].astype(float)
    assert found.bias.at_most == biases.max() < 0.05 and found.bias.unbiased == 6


def test_every_kind_of_the_reference_has_an_answer_that_no_unbiased_estimator_beats():
    for (kind, samples), found in of_reference().items():
        rows = reference()[(reference()["kind"] == kind)]
        able = unbiased_estimators(rows) & set(rows["estimator"])
        own = rows[(rows["samples"] == samples) & rows["estimator"].isin(able)]
        overall = compare_estimators(own, baseline=found.estimator).overall
        times = overall[(overall["equal"] == "seconds") & (overall["ratio"] > 0) & (overall["problems"] > 1)]
        complete = times[times["problems"] - times["without_variance"] >= found.problems]
        assert (complete["ratio"] >= 1 - 1e-9).all(), (kind, samples, complete)
    assert {kind for kind, _ in of_reference()} == set(reference()["kind"])


def test_a_biased_estimator_does_not_win_nor_does_one_never_shown_unbiased():
    found = {(each.kind, each.samples): each for each in kind_winners(table())}
    assert found["bits", 2].estimator == "rloo" and found["bits", 2].runner_up == "reinforce"
    assert found["bits", 2].ties == () and found["bits", 2].over_runner_up["samples"].value == pytest.approx(0.2)
    judged = table()
    bits = judged["distribution"].eq("bernoulli") & judged["estimator"].eq("rloo") & judged["samples"].eq(10)
    judged.loc[bits & judged["metric"].eq("relative_bias").fillna(False), "verdict"] = "biased"
    assert {each.estimator for each in kind_winners(judged) if each.kind == "bits"} == {"reinforce"}
    unclear = table().replace({"verdict": {"unbiased": "unclear"}})
    assert kind_winners(unclear) == []


def test_who_is_biased_on_one_size_is_no_candidate_for_another():
    """A relaxation that is biased on 5 bits has a bias too small to be shown on 200, and less variance."""
    frame = table()
    small = frame["estimator"].eq("gumbel_softmax") & frame["distribution_params"].eq('{"size":200}')
    frame.loc[small & frame["metric"].eq("relative_bias").fillna(False), "verdict"] = "unbiased"
    found = {(each.kind, each.size): each for each in winners_by_size(frame)}
    assert set(found) == {("bits", 5), ("bits", 200)}
    assert {(each.estimator, each.samples, each.problems) for each in found.values()} == {("rloo", 10, 1)}
    alone = frame[frame["distribution_params"].eq('{"size":200}')]
    assert kind_winners(alone)[-1].estimator.startswith("gumbel_softmax")
    assert kind_winners(alone, judged=frame)[-1].estimator == "rloo"
    assert winners_by_size(alone) == [] == winners_by_size(table().iloc[:0])


def test_ties_are_those_not_shown_to_be_worse():
    frame = table(problems=2)
    rows = frame["estimator"].eq("reinforce") & frame["metric"].eq("work_normalised_variance").fillna(False)
    for column in ("value", "ci_low", "ci_high"):
        frame.loc[rows, column] *= 0.2 * 1.2 * 1.01
    assert [each.ties for each in kind_winners(frame)] == [("reinforce",), ("reinforce",)]


def test_without_times_evaluations_decide_and_without_leave_one_out_the_baseline_is_the_reference():
    frame = table(problems=2)
    untimed = pd.DataFrame(frame[~frame["metric"].isin(["seconds_per_estimate", "work_normalised_variance"])])
    assert {each.decided_at for each in kind_winners(untimed)} == {"evaluations"}
    assert {each.reference for each in kind_winners(frame)} == {"rloo"}
    without = pd.DataFrame(frame[frame["estimator"] != "rloo"])
    assert {(each.estimator, each.reference, each.runner_up) for each in kind_winners(without)} == {
        ("reinforce", "reinforce", None)
    }


def test_what_the_verdicts_say_of_the_bias():
    rows = pd.DataFrame({
        "problem": ["a", "b", "c", "d"], "verdict": ["unbiased", "unbiased", "unclear", ""],
        "relative_bias_high": [0.01, 0.04, 0.5, np.nan],
    })  # fmt: skip
    assert bias_bound(rows) == type(bias_bound(rows))(0.04, 2, 0.5, 1)
    assert np.isnan(bias_bound(rows.iloc[3:]).at_most) and bias_bound(rows.iloc[3:]).unbiased == 0


def test_nothing_to_win():
    assert kind_winners(table().iloc[:0]) == []
    assert kind_winners(typed(pd.DataFrame(cell(("rloo", "{}"), PROBLEMS[0], 2)))) == []
