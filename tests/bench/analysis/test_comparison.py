"""Comparisons find what is there, say what they cannot, and keep their false alarms down."""

# pyright: reportArgumentType=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from bench.analysis.comparison import Comparison, compare, compare_estimators
from bench.analysis.regressions import Regressions, compare_runs, parse_limits
from bench.statistics.interval import Interval
from bench.statistics.ratios import holm, verdicts
from bench.tables.wide import wide_table
from estimators.errors import BadInput
from tests.support.sweeps import gradest
from tests.support.tables import ESTIMATORS, PROBLEMS, cell, table, typed


def scaled(frame: pd.DataFrame, estimator: str, metric: str, factor: float) -> pd.DataFrame:
    found = frame.copy()
    rows = (found["estimator"] == estimator) & (found["metric"] == metric)
    for column in ("value", "ci_low", "ci_high"):
        found.loc[rows, column] *= factor
    return found


def overall(found: Comparison, equal: str = "samples", kind: str = "bits") -> pd.DataFrame:
    rows = found.overall
    return rows[(rows["equal"] == equal) & (rows["kind"] == kind)].set_index("estimator")


def test_ratios_to_the_baseline_are_those_of_the_table():
    found = compare_estimators(table())
    samples, seconds = overall(found), overall(found, "seconds")
    assert samples.loc["rloo", "ratio"] == pytest.approx(0.2)
    assert seconds.loc["rloo", "ratio"] == pytest.approx(0.2 * 1.2)
    assert samples.loc["exact", "ratio"] == 0
    assert samples.loc["gumbel_softmax(temperature=0.5)", "biased_on"] == 2
    assert samples.loc["rloo", ["problems", "without_variance"]].tolist() == [2, 0]
    assert samples.loc["exact", ["problems", "without_variance"]].tolist() == [2, 2]
    assert list(dict.fromkeys(found.overall["kind"])) == ["bits", "smooth continuous", "other"]


def test_problems_of_two_kinds_are_not_averaged():
    found = compare_estimators(scaled(table(), "rloo", "variance", 1.0))
    frame = table()
    frame = pd.concat([scaled(frame[frame["distribution"] == "normal"], "rloo", "variance", 100.0),
                       frame[frame["distribution"] != "normal"]])  # fmt: skip
    changed = compare_estimators(frame)
    assert overall(changed).loc["rloo", "ratio"] == pytest.approx(overall(found).loc["rloo", "ratio"])
    assert overall(changed, kind="smooth continuous").loc["rloo", "ratio"] == pytest.approx(20)


def test_an_estimator_without_variance_on_one_problem_keeps_its_mean_over_the_others():
    frame = table()
    small = (frame["distribution_params"] == '{"size":5}').to_numpy()
    without = pd.concat([scaled(frame[small], "rloo", "variance", 0.0), frame[~small]])
    row = overall(compare_estimators(without)).loc["rloo"]
    assert row["ratio"] == pytest.approx(0.2) and row["without_variance"] == 1 and row["problems"] == 2


def turned(frame: pd.DataFrame) -> pd.DataFrame:
    """The table in which rloo's mean is 12.5° away from the gradient, and no other angle was measured."""
    rows = frame[frame["metric"].eq("variance") & frame["estimator"].eq("rloo")]
    angle = rows.assign(metric="angle", value=12.5, ci_low=10.0, ci_high=15.0, direction="turned")
    return typed(pd.concat([frame[~frame["metric"].eq("angle")], angle]))


def test_the_angle_stands_beside_the_direction():
    found = compare_estimators(turned(table((2,), 1)))
    own = found.pairs[found.pairs["estimator"] == "rloo"].iloc[0]
    assert (own["direction"], own["angle"], own["angle_low"], own["angle_high"]) == ("turned", 12.5, 10.0, 15.0)
    console = Console(file=io.StringIO(), width=300)
    console.print(found)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert any("rloo" in line and "12° (10 to 15)" in line for line in lines)
    assert any("antithetic" in line and "—" in line for line in lines)


def test_the_command_prints_json(tmp_path):
    turned(table((2,), 1)).to_csv(tmp_path / "table.csv", index=False)
    done = gradest("compare", "table.csv", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout, parse_constant=pytest.fail)  # NaN is no JSON
    angles = {row["estimator"]: (row["angle"], row["angle_low"], row["angle_high"]) for row in found["pairs"]}
    assert angles["rloo"] == (12.5, 10.0, 15.0)
    assert {value for name, value in angles.items() if name != "rloo"} == {(None, None, None)}
    assert found["baseline"] == "reinforce" and found["overall"]


def test_a_ratio_has_the_interval_of_two_independent_cells():
    log, rng = np.log(1.3), np.random.default_rng(1)
    errors = np.array([0.05, 0.1])
    truths = np.array([log, 0.0])
    drawn = truths + errors * rng.standard_normal((20_000, 2))
    numbers = [Interval(*(np.exp(drawn[:, i] + side * 1.96 * errors[i]) for side in (0, -1, 1))) for i in range(2)]
    found = numbers[0].over(numbers[1])
    covered = ((found.low < np.exp(log)) & (np.exp(log) < found.high)).mean()
    assert abs(covered - 0.95) < 5 * np.sqrt(0.95 * 0.05 / 20_000)


def test_intervals_keep_their_asymmetry():
    wide_above = Interval(*np.array([1.0, 0.9, 2.0]))
    found = wide_above.over(Interval(*np.ones(3)))
    assert (float(found.low), float(found.high)) == pytest.approx((0.9, 2.0))
    found = Interval(*np.ones(3)).over(wide_above)
    assert (float(found.low), float(found.high)) == pytest.approx((0.5, 1 / 0.9))


@pytest.mark.parametrize(
    ("above", "below", "expected"), [(0.0, 2.0, 0.0), (2.0, 0.0, np.inf), (0.0, 0.0, 1.0), (np.nan, 0.0, np.nan)]
)
def test_a_variance_of_zero_has_a_ratio(above: float, below: float, expected: float):
    found = Interval.exact(np.float64(above)).over(Interval.exact(np.float64(below)))
    np.testing.assert_equal([float(each) for each in found], [expected] * 3)


def test_verdicts_say_better_worse_same_and_unclear():
    value, half = np.array([0.5, 2.0, 1.01, 1.0, 0.0, np.nan]), np.array([0.05, 0.05, 0.005, 0.5, 0.0, 0.1])
    found = Interval(value, value * np.exp(-half), value * np.exp(half))
    assert verdicts(found, 0.1) == ["better", "worse", "same", "unclear", "better", ""]
    assert verdicts(found, 0.1, lower_is_better=False)[:2] == ["worse", "better"]


@pytest.mark.slow
def test_equal_estimators_are_seldom_called_different():
    rng, alarms, trials = np.random.default_rng(2), 0, 2000
    for _ in range(trials):
        value = np.exp(0.05 * rng.standard_normal(20))
        found = verdicts(Interval(value, value * np.exp(-0.098), value * np.exp(0.098)), 0.001)
        alarms += "better" in found or "worse" in found
    assert alarms / trials < 0.05 + 5 * np.sqrt(0.05 * 0.95 / trials)


def test_holm_is_the_textbook_example():
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_the_same_table_gives_the_same_interval():
    first, second = (compare_estimators(table()).overall for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


def test_an_unknown_baseline_or_metric_names_the_nearest():
    with pytest.raises(BadInput, match="there is no estimator 'rlo' in this table; did you mean 'rloo'"):
        compare(table(), baseline="rlo")
    with pytest.raises(BadInput, match="could be"):
        compare(table(), baseline="gumbel_softmax")
    with pytest.raises(BadInput, match="did you mean 'variance'"):
        compare(table(), metric="varianc")
    with pytest.raises(BadInput, match="cannot be compared by ratios"):
        compare(table(), metric="scale")


def test_a_baseline_can_be_named_by_its_label():
    found = compare_estimators(table(), baseline="gumbel_softmax(temperature=1)")
    assert overall(found).loc["gumbel_softmax(temperature=0.5)", "ratio"] == pytest.approx(2)


def test_where_the_baseline_was_not_measured_another_replaces_it_with_a_note():
    found = compare_estimators(table(), baseline="exact")
    assert any("vae / amortised: exact was not measured, so antithetic" in note for note in found.notes)
    vae = found.pairs[found.pairs["problem"] == "vae / amortised"]
    assert set(vae["baseline"]) == {"antithetic(reinforce)"}
    without = table()[lambda rows: rows["estimator"] != "reinforce"]
    assert compare_estimators(without).baseline == "antithetic(reinforce)"
    assert "reinforce" not in set(compare_estimators(without).pairs["baseline"])


def test_throughput_is_better_when_higher():
    found = compare_estimators(table(), metric="estimates_per_second")
    outcome = found.pairs.set_index("estimator")["outcome"]
    assert set(outcome["exact"]) == {"worse"}
    assert list(overall(found).index)[-1] == "exact"


def test_times_of_two_machines_are_not_divided():
    frame = table()
    frame.loc[frame["estimator"] == "rloo", "env"] = "b"
    found = compare_estimators(frame)
    assert "rloo" not in set(found.pairs.loc[found.pairs["equal"] == "seconds", "estimator"])
    assert "rloo" in set(found.pairs.loc[found.pairs["equal"] == "samples", "estimator"])


def test_labels_tell_settings_points_and_modes_apart():
    rows = [row for mode in ("eager", "compile") for point in ("start", "trained")
            for row in cell(("rloo", "{}"), PROBLEMS[3], 2, mode=mode, point=point, cell=mode + point)]  # fmt: skip
    assert set(wide_table(typed(pd.DataFrame(rows)))["problem"]) == {
        f"vae / amortised, {point}, {mode}" for mode in ("eager", "compile") for point in ("start", "trained")
    }


def test_a_table_that_is_not_gradests_is_refused():
    with pytest.raises(BadInput, match="not a gradest table: it has no column 'cell'"):
        compare(pd.DataFrame({"a": [1]}))


def test_two_runs_find_what_got_worse_and_only_that():
    found = compare(table(), scaled(table(), "rloo", "variance", 1.5), fail_on="variance>10%")
    assert isinstance(found, Regressions)
    worse = found.rows[found.rows["regressed"]]
    assert set(worse["estimator"]) == {"rloo"} and len(worse) == 8 and len(found.failures) == 8
    assert not compare_runs(table(), scaled(table(), "rloo", "variance", 1.5), "variance>60%").failures
    assert not compare_runs(table(), scaled(table(), "rloo", "variance", 0.5), "variance>10%").failures
    slower = scaled(table(), "rloo", "estimates_per_second", 0.5)
    assert len(compare_runs(table(), slower, "estimates_per_second>50%, variance>10%").failures) == 8
    assert not compare_runs(table(), slower).failures


def test_a_cell_that_was_lost_breaks_the_limits_and_a_changed_verdict_is_said():
    after = table()
    lost = after["estimator"].eq("rloo") & after["distribution"].eq("normal") & after["samples"].eq(2)
    broken = after[lost].head(1).assign(status="failed", reason="BadInput: no", metric=pd.NA, value=pd.NA)
    after = pd.concat([after[~lost], broken])
    after.loc[after["verdict"] == "unclear", "verdict"] = "biased"
    found = compare_runs(table(), after, "variance>10%")
    assert found.failures == ("rloo on linear / normal, n = 2: was ok, is now failed (BadInput: no)",)
    assert any("the bias verdict was unclear, is now biased" in note for note in found.notes)


def test_other_problem_versions_and_runs_without_a_common_cell_are_refused():
    with pytest.raises(BadInput, match=r"another problem in the second run \(version 1.1, then 2.1\)"):
        compare(table(), table(problem_version="2.1"))
    with pytest.raises(BadInput, match="no cell in common"):
        compare(table((2,)), table((10,)))


@pytest.mark.parametrize("text", ["variance", "variance>10", "variance<10%", "variance>x%", "scale>10%", ">10%", ","])
def test_limits_that_are_not_in_the_language_are_refused(text: str):
    with pytest.raises(BadInput, match="--fail-on: "):
        parse_limits(text)


@pytest.mark.parametrize("other", [None, table()])
def test_comparisons_print_themselves_and_hostile_names_stay_text(other: pd.DataFrame | None):
    printed = io.StringIO()
    console = Console(file=printed, width=200)
    frame = table().replace({"estimator": {"rloo": "[red]rloo[/]"}})
    console.print(compare(frame, other.replace({"estimator": {"rloo": "[red]rloo[/]"}}) if other is not None else None))
    assert "[red]rloo[/]" in printed.getvalue()


def test_the_outcome_says_at_what_it_is_judged():
    """An outcome at equal samples, and none in its place where only times compare."""
    printed = io.StringIO()
    found = compare_estimators(table((2,), problems=1))
    Console(file=printed, width=250).print(found)
    assert "outcome at equal samples" in printed.getvalue()
    lost = (found.pairs["estimator"] == "rloo") & (found.pairs["equal"] == "samples")
    printed = io.StringIO()
    Console(file=printed, width=250).print(replace(found, pairs=found.pairs[~lost]))
    line = next(line for line in printed.getvalue().splitlines() if "rloo" in line and "unbiased" in line)
    assert "better" not in line and "—" in line


def test_empty_and_one_cell_tables_compare_to_nothing():
    one = typed(pd.DataFrame(cell(("reinforce", "{}"), PROBLEMS[0], 2)))
    assert compare_estimators(one).pairs.empty
    assert len(ESTIMATORS) > 1


def test_a_variance_that_is_only_rounding_is_zero():
    found = wide_table(scaled(table(), "rloo", "variance", 1e-30)).set_index(["estimator", "problem", "samples"])
    assert found.loc[("rloo", "linear / normal", 2), ["variance", "variance_low"]].tolist() == [0, 0]
    assert found.loc[("reinforce", "linear / normal", 2), "variance"] == 6
