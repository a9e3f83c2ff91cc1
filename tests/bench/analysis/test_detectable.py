"""A comparison of two runs says what it could have found, and that holds: its power and its false alarms, simulated."""

# pyright: reportArgumentType=false, reportGeneralTypeIssues=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from bench.analysis.changes import ALIKE_DRAWS, INDEPENDENT, SAME_NUMBERS, Limit, changes
from bench.analysis.comparison import compare
from bench.analysis.detectable import with_smallest
from bench.analysis.regressions import PARTS_OF_LEVEL, REGRESSION_LEVEL, Regressions, compare_runs
from bench.statistics.common_draws import packed
from bench.statistics.means import holm
from bench.suites.cell import Cell
from bench.sweeps.cell_record import measure_cell
from bench.tables.long import long_rows
from estimators.score_function import LeaveOneOut, left_out
from tests.support.sweeps import small_cells
from tests.support.tables import PROBLEMS, cell, table, typed

CELLS, R, BATCHES = 10, 1024, 64
TRIALS = [300, pytest.param(6000, marks=pytest.mark.slow)]
"""The rates of 6,000 trials are known to half a percent."""
LIMIT = Limit("variance", 0.1)
LEVEL = REGRESSION_LEVEL * PARTS_OF_LEVEL["cell"] / CELLS


def runs(seed: int, factor: np.ndarray, own: float) -> pd.DataFrame:
    """Both runs of many cells side by side, from R squared distances each: exponential, so that the kurtosis is 9.

    `factor`: the true ratio of each cell. `own`: the share of the second run's distances that are not the first's: 1 in
    runs that are independent.
    """
    rng = np.random.default_rng(seed)
    first = rng.exponential(size=(len(factor), R))
    second = factor[:, None] * ((1 - own) * first + own * rng.exponential(size=first.shape))
    columns: dict[str, object] = {"samples": 2}
    for side, values in (("_before", first), ("_after", second)):
        mean, half = values.mean(1), 1.96 * values.std(1, ddof=1) / values.mean(1) / R**0.5
        columns |= {f"variance{side}": mean, f"variance_low{side}": mean * np.exp(-half)}
        columns |= {f"variance_high{side}": mean * np.exp(half), f"seed{side}": 0, f"replicates{side}": R}
        columns |= {f"problem{side}": "p", f"estimator{side}": "e"}
        columns[f"batches{side}"] = [packed(row) for row in values.reshape(-1, BATCHES, R // BATCHES).mean(2)]
    return pd.DataFrame(columns)


def found(rows: pd.DataFrame) -> np.ndarray:
    """Whether each cell is found, by Holm's method over the cells of its trial."""
    adjusted = np.array([holm(trial) for trial in rows["p"].to_numpy(float).reshape(-1, CELLS)])
    return adjusted < REGRESSION_LEVEL * PARTS_OF_LEVEL["cell"]


@pytest.mark.parametrize("trials", TRIALS)
@pytest.mark.parametrize(("own", "basis"), [(1.0, INDEPENDENT), (0.2, ALIKE_DRAWS)])
def test_a_change_of_the_size_that_is_said_is_found_in_eighty_of_a_hundred_runs(own: float, basis: str, trials: int):
    share = with_smallest(changes(runs(0, np.full(200, 1.1), own), LIMIT), LEVEL)["finds"].median()
    factor = np.where(np.arange(CELLS * trials) % CELLS == 0, 1 + share, 1.0)
    rows = changes(runs(1, factor, own), LIMIT)
    assert (rows["basis"] == basis).mean() > 0.99
    hits = found(rows)
    assert hits[:, 0].mean() == pytest.approx(0.8, abs=5 * (0.16 / trials) ** 0.5)
    assert hits[:, 1:].sum() == 0  # cells that are 10 % below their limit
    assert (share < 0.25) == (own < 1)  # common draws find what independent ones do not: 0.15 and 0.32


@pytest.mark.parametrize("trials", TRIALS)
@pytest.mark.parametrize("own", [1.0, 0.2])
def test_false_alarms_at_the_limit_stay_at_the_level(own: float, trials: int):
    alarms = found(changes(runs(2, np.full(CELLS * trials, 1.1), own), LIMIT)).any(1).mean()
    level = REGRESSION_LEVEL * PARTS_OF_LEVEL["cell"]
    assert alarms < level + 5 * (level / trials) ** 0.5


def test_independent_runs_taken_for_common_draws_would_raise_alarms(monkeypatch: pytest.MonkeyPatch):
    # The mutant: the error of common draws half too small, as if each batch counted more than once.
    rows = changes(runs(2, np.full(CELLS * 300, 1.1), 0.2), LIMIT)
    wrong = rows.assign(p=t.sf((rows["log"] - np.log(1.1)) / (rows["error"] / 2), rows["degrees"]))
    assert found(wrong).any(1).mean() > 0.03 + 5 * (0.03 / 300) ** 0.5


def test_the_same_numbers_from_the_same_draws_are_no_test():
    after = table()
    moved = after["estimator"].eq("rloo") & after["metric"].eq("variance")
    for column in ("value", "ci_low", "ci_high"):
        after.loc[moved, column] *= 1.01
    few = compare_runs(table(), after, "variance>10%")
    assert few.power["same_numbers"].tolist() == [34] and few.power["cells"].tolist() == [42]
    assert (few.rows["basis"] == SAME_NUMBERS).sum() == 34
    many = compare_runs(table(), after.assign(seed=1), "variance>10%")
    assert many.power["same_numbers"].tolist() == [0]
    # 8 tests in place of 36: the same change is found from a smaller size on
    assert few.power["median"].iloc[0] < many.power["median"].iloc[0]
    assert "34 of 42 cells gave the same numbers from the same draws" in few.power_sentences()[0]


def test_nothing_changed_is_said_and_not_that_nothing_could_be_seen():
    same = compare_runs(table(), table(), "variance>10%")
    assert same.power_sentences() == [
        "variance, limit 10 %: 42 of 42 cells gave the same numbers from the same draws: nothing changed there"
    ]
    assert not same.failures


def test_cells_that_move_together_are_found_although_none_is_found_alone():
    after = table().assign(seed=1)
    moved = after["estimator"].eq("rloo") & after["metric"].eq("variance")
    for column in ("value", "ci_low", "ci_high"):
        after.loc[moved, column] *= 1.18
    result = compare_runs(table(), after, "variance>10%")
    assert not result.rows["regressed"].any()
    assert len(result.failures) == 1
    assert result.failures[0].startswith("estimator rloo (8 cells together): variance worse by the factor 1.18")
    assert not compare_runs(table(), after, "variance>20%").failures


def test_a_cell_that_is_found_alone_speaks_for_its_groups():
    after = table().assign(seed=1)
    moved = after["estimator"].eq("rloo") & after["metric"].eq("variance")
    for column in ("value", "ci_low", "ci_high"):
        after.loc[moved, column] *= 1.5
    result = compare_runs(table(), after, "variance>10%")
    assert len(result.failures) == 8 and result.groups["regressed"].any()


def drawn_table(rng: np.random.Generator, factor: float) -> pd.DataFrame:
    """A table of twelve cells whose variances are measured with an error of 5 %."""
    rows = []
    for problem in PROBLEMS[:3]:
        for estimator in (("reinforce", "{}"), ("rloo", "{}")):
            for n in (2, 10):
                noise = factor * np.exp(0.05 * rng.standard_normal())
                for row in cell(estimator, problem, n):
                    scaled = row["metric"] == "variance"
                    ends = {"value": noise, "ci_low": noise * np.exp(-0.098), "ci_high": noise * np.exp(0.098)}
                    rows.append(row | (ends if scaled else {}))
    return typed(pd.DataFrame(rows))


def test_a_change_of_the_code_is_compared_at_the_draws_that_it_shares(monkeypatch: pytest.MonkeyPatch):
    cells = [each for each in small_cells() if each.estimator == "rloo"]
    before = long_rows("before", [measured(each) for each in cells])
    assert before.loc[before["metric"] == "variance", "batches"].str.len().eq(344).all()  # 64 float32 in base64
    monkeypatch.setattr(LeaveOneOut, "coefficient", lambda self, value: left_out(value) + 0.1 * value)
    after = long_rows("after", [measured(each) for each in cells])
    together = compare_runs(before, after, "variance>1%").rows
    apart = compare_runs(before.assign(batches=""), after, "variance>1%").rows
    assert set(together["basis"]) == {ALIKE_DRAWS} and set(apart["basis"]) == {INDEPENDENT}
    assert (together["finds"].to_numpy() < 0.5 * apart["finds"].to_numpy()).all()


def measured(cell: Cell) -> dict:
    """The record of a cell that is measured now."""
    return measure_cell(cell, "accuracy") | {"env": "here", "attempt": 1}


def test_a_time_that_was_visited_twice_finds_nothing_and_says_so():
    frame = table()
    frame["method"] = frame["method"].str.replace("5 visits", "2 visits")
    result = compare_runs(frame, frame.assign(seed=1), "seconds_per_estimate>10%")
    assert "over 1000 % (median of 42 cells" in result.power_sentences()[0] and "nan" not in result.power_sentences()[0]


@pytest.mark.slow
def test_a_whole_comparison_keeps_its_level_and_finds_a_common_change():
    rng, trials, alarms, hits = np.random.default_rng(5), 400, 0, 0
    share = float(
        compare_runs(drawn_table(rng, 1.0), drawn_table(rng, 1.0).assign(seed=1), "variance>10%")
        .power["all_together"]
        .iloc[0]
    )
    for _ in range(trials):
        before = drawn_table(rng, 1.0)
        alarms += bool(compare_runs(before, drawn_table(rng, 1.1).assign(seed=1), "variance>10%").failures)
        result = compare_runs(before, drawn_table(rng, 1 + share).assign(seed=1), "variance>10%")
        hits += bool(result.groups.loc[result.groups["kind"] == "all", "regressed"].iloc[0])
    assert alarms / trials < REGRESSION_LEVEL + 5 * (REGRESSION_LEVEL / trials) ** 0.5
    assert hits / trials == pytest.approx(0.8, abs=5 * (0.16 / trials) ** 0.5)


def test_the_json_has_what_could_have_been_found():
    result = compare(table(), table().assign(seed=1), fail_on="variance>10%")
    assert isinstance(result, Regressions)
    told = json.loads(result.to_json())
    assert told["power"][0]["missed"] == pytest.approx(0.66, abs=0.01)
    assert told["power"][0]["doubtful"] == 36 and told["limits"] == [{"metric": "variance", "share": 0.1}]
    assert {row["basis"] for row in told["rows"]} == {INDEPENDENT}
    assert any(row["finds"] > 0.2 for row in told["rows"]) and told["failures"] == []
    assert "66 % of changes of 20 %, each in a single cell, would have passed" in told["power_sentences"][0]
