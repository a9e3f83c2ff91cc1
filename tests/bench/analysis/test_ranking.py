"""Any two estimators read from a ranking have the ratio of their own comparison; what cannot be read is apart."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from functools import cache

import numpy as np
import pandas as pd
import pytest

from bench.analysis.comparison import compare_estimators
from bench.analysis.ranking import DISAGREES, Rankings, rankings
from bench.statistics.over_problems import OverProblems
from bench.tables.folder import load
from bench.tables.wide import wide_table
from estimators.errors import BadInput
from tests.support.tables import cell, table, typed

BITS = [("bernoulli", f'{{"size":{size}}}', "quadratic_bits", "{}", size) for size in range(2, 14)]


@cache
def reference() -> pd.DataFrame:
    return wide_table(load("results/reference"))


@cache
def ranked_reference() -> Rankings:
    return rankings(reference())


def direct(rows: pd.DataFrame, kind: str, equal: str, one: str, other: str) -> pd.Series:
    """The row of `one` in the comparison with `other`."""
    both = rows[(rows["kind"] == kind) & rows["estimator"].isin([one, other])]
    found = compare_estimators(both, baseline=other, metric="variance").overall
    return found[(found["equal"] == equal) & (found["estimator"] == one)].iloc[0]


def agree(read: OverProblems, row: pd.Series) -> bool:
    """Whether a ratio read from the ranking lies in the interval of the comparison."""
    low, high = (np.nanmin, np.nanmax)
    ends = low([row["ratio_low"], row["problems_low"]]), high([row["ratio_high"], row["problems_high"]])
    return bool(ends[0] * (1 - 1e-9) <= read.value <= ends[1] * (1 + 1e-9))


def test_disarm_and_leave_one_out_are_compared_on_the_problems_that_both_ran_on():
    """Each averaged over its own problems, DisARM had 0.019 of leave-one-out's variance at equal time."""
    found = ranked_reference().of["bits", "seconds"].ratio("disarm", "rloo")
    row = direct(reference(), "bits", "seconds", "disarm", "rloo")
    assert tuple(found.measured) == pytest.approx((row["ratio"], row["ratio_low"], row["ratio_high"]))
    assert tuple(found.chosen)[1:] == pytest.approx((row["problems_low"], row["problems_high"]))
    assert found.problems == row["problems"] == 6
    assert 0.7 < found.value < 1.1


@pytest.mark.parametrize("baseline", ["rloo", "reparameterisation"])
def test_of_any_two_in_the_reference_the_ranking_reads_as_their_comparison(baseline: str):
    overall = compare_estimators(reference(), baseline=baseline).overall
    read = 0
    for row in overall.to_dict("records"):
        ranking = ranked_reference().of[row["kind"], row["equal"]]
        if {row["estimator"], baseline} <= set(ranking.names):
            read += 1
            assert agree(ranking.ratio(row["estimator"], baseline), pd.Series(row)), row
    assert read > 40


@cache
def with_gaps(seed: int) -> pd.DataFrame:
    """Eight estimators on twelve problems, with interactions of every size, and cells missing for a reason: the better
    an estimator is on a problem, the more likely it is missing."""
    rng = np.random.default_rng(seed)
    names, problems = [(f"e{i}", "{}") for i in range(8)], BITS[: int(rng.integers(2, 13))]
    spread = 10 ** rng.uniform(-2, 0.5)
    rows = [row for which in problems for name in names for n in (2, 4) for row in cell(name, which, n)
            if row["metric"] == "variance"]  # fmt: skip
    frame = typed(pd.DataFrame(rows))
    each = pd.factorize(frame["estimator"].astype(str) + frame["distribution_params"].astype(str))[0]
    own = np.where(rng.random(each.max() + 1) < 0.3, 5.0, 0.1) * rng.standard_normal(each.max() + 1)
    log = spread * own[each] + 0.05 * rng.standard_normal(len(frame))
    frame = frame.assign(value=np.exp(log), ci_low=np.exp(log - 0.1), ci_high=np.exp(log + 0.1))
    kept = rng.random(each.max() + 1) < rng.uniform(0.5, 1.0) * np.where(np.arange(each.max() + 1) % 3, 1.0, 0.7)
    kept &= (log[np.unique(each, return_index=True)[1]] > -1.5 * spread) | (rng.random(each.max() + 1) < 0.5)
    return wide_table(pd.DataFrame(frame[kept[each]]))


@pytest.mark.parametrize("seed", range(12))
def test_of_any_two_in_a_table_with_gaps_the_ranking_reads_as_their_comparison(seed: int):
    rows = with_gaps(seed)
    ranking = rankings(rows).of["bits", "samples"]
    for baseline in ranking.names[::3]:
        overall = compare_estimators(rows, baseline=baseline).overall
        for row in overall[overall["equal"] == "samples"].to_dict("records"):
            if row["estimator"] in ranking.names:
                assert agree(ranking.ratio(row["estimator"], baseline), pd.Series(row)), (baseline, row)


def test_generated_tables_hold_every_case():
    """Complete rankings, rankings with gaps, estimators that share too little, and such that do not agree."""
    found = [rankings(with_gaps(seed)) for seed in range(12)]
    why = " ".join(reason for each in found for reason in each.rows["apart"])
    assert "shares only" in why and DISAGREES in why
    ranked = [each.rows[each.rows["apart"] == ""] for each in found]
    assert any((rows["problems"] < rows["of_problems"]).any() for rows in ranked)


def test_the_rows_say_how_many_problems_stand_behind_them():
    rows = ranked_reference().rows.set_index(["kind", "equal", "estimator"])
    assert rows.loc[("bits", "samples", "rloo"), ["problems", "of_problems"]].tolist() == [6, 6]
    assert rows.loc[("bits", "samples", "reinforce"), "ratio"] == 1
    far = rows.loc[("bounds", "samples", "measure_valued")]
    assert far["apart"].startswith("shares only 2 of 4 problems with ") and far["problems"] == 2
    assert rows.loc[("bits", "samples", "straight_through_gumbel"), "biased_on"] == 6


def test_problems_that_one_estimator_alone_ran_on_do_not_count():
    rows = [row for name, own in (("rloo", BITS[:3]), ("reinforce", BITS[2:5])) for which in own
            for row in cell((name, "{}"), which, 2)]  # fmt: skip
    found = rankings(typed(pd.DataFrame(rows))).rows
    assert set(found["problems"]) == set(found["of_problems"]) == {1}


def test_what_has_no_variance_does_not_move_a_mean():
    """Exact sums stand apart with the ratio 0; problems without variance are counted, and the mean is over the rest."""
    rows = ranked_reference().rows.set_index(["kind", "equal", "estimator"])
    exact = rows.loc[("bits", "samples", "exact")]
    assert exact["ratio"] == 0 and exact["without_variance"] == 3 and exact["apart"] == "has no variance on any problem"
    some = rows.loc[("smooth continuous", "samples", "antithetic(reparameterisation)")]
    assert some["without_variance"] == 1 and some["problems"] == 4 and some["apart"] == "" and some["ratio"] > 1e-3
    whole = reference()
    linear = (whole["objective"] == "linear") & (whole["estimator"] == "antithetic(reparameterisation)")
    before = ranked_reference().of["smooth continuous", "samples"]
    after = rankings(whole[~linear]).of["smooth continuous", "samples"]
    pair = ("antithetic(reparameterisation)", "rloo")
    assert after.ratio(*pair).value == pytest.approx(before.ratio(*pair).value)


def test_a_baseline_that_is_not_ranked_on_a_kind_is_replaced_there():
    rows = rankings(reference(), baseline="disarm").rows
    assert rows.groupby("kind")["baseline"].unique().map(list).to_dict()["bits"] == ["disarm"]
    others = rows[rows["kind"] != "bits"]
    assert "disarm" not in set(others["baseline"])
    ranked = others[(others["apart"] == "") & (others["estimator"] == others["baseline"])]
    assert (ranked["ratio"] == 1).all() and set(ranked["kind"]) == set(others["kind"])


def test_the_same_problem_on_two_devices_is_one_problem():
    """Each device gives separate cells, and a problem does not count twice."""
    frame = table(problems=2)
    twice = pd.concat([frame, frame.assign(device="cuda", cell=frame["cell"] + "c", env="b")])
    one, two = (rankings(each).of["bits", "samples"].ratio("rloo", "reinforce") for each in (frame, twice))
    assert one.problems == two.problems == 2
    assert tuple(one.chosen) == pytest.approx(tuple(two.chosen))


def test_times_of_two_machines_are_not_compared():
    frame = table(problems=2)
    frame.loc[frame["estimator"] == "rloo", "env"] = "b"
    found = rankings(frame)
    assert "rloo" not in found.of["bits", "seconds"].names and "rloo" in found.of["bits", "samples"].names
    row = found.rows[(found.rows["equal"] == "seconds") & (found.rows["estimator"] == "rloo")].iloc[0]
    assert row["apart"].startswith("shares only 0 of 2 problems") and np.isnan(row["ratio"])


def test_higher_is_better_where_the_metric_says_so():
    found = rankings(table(problems=2), metric="estimates_per_second").of["bits", "samples"]
    values = [round(found.ratio(name, found.names[0]).value, 9) for name in found.names]
    assert values == sorted(values, reverse=True) and values[0] > values[-1]


def test_an_empty_table_a_lone_estimator_and_unknown_names():
    assert rankings(table().iloc[:0]).rows.empty
    alone = typed(pd.DataFrame([row for n in (2, 4) for row in cell(("rloo", "{}"), BITS[0], n)]))
    assert rankings(alone).rows.empty
    with_exact = table(problems=1)[lambda rows: rows["estimator"].isin(["rloo", "exact"])]
    assert rankings(with_exact).rows.empty
    with pytest.raises(BadInput, match="'exact' is not ranked on bits; there is"):
        ranked_reference().of["bits", "samples"].ratio("exact", "rloo")
    with pytest.raises(BadInput, match="cannot be compared by ratios"):
        rankings(table(), metric="scale")


def test_every_order_of_the_rows_gives_the_same_ranking():
    rows = with_gaps(3)
    first, second = rankings(rows).rows, rankings(rows.sample(frac=1.0, random_state=0)).rows
    first, second = (each.sort_values(["equal", "estimator"], ignore_index=True) for each in (first, second))
    pd.testing.assert_frame_equal(first, second)
