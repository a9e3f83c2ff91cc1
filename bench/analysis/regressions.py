"""Comparison of two runs of a suite: cells that got worse, at a family-wise level."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from bench.analysis.changes import COMMON, TIMES, Limit, changes
from bench.analysis.detectable import percent, power_of, power_sentences, with_smallest
from bench.analysis.pooled_changes import ALL, pooled_changes
from bench.analysis.repeated_times import FEWEST_CELLS
from bench.display.notebook import InNotebooks
from bench.display.terminal import MAX_ROWS, interval, missing, number
from bench.statistics.means import benjamini_hochberg, holm
from bench.tables.metrics import METRICS
from bench.tables.wide import EXECUTION, PROBLEM, wide_table
from estimators.errors import BadInput, nearest

REGRESSION_LEVEL = 0.05
"""The chance that a comparison in which nothing is beyond a limit says that something is."""
PARTS_OF_LEVEL = {"cell": 0.6, "group": 0.2, ALL: 0.2}
"""The parts of the level: single cells, groups of related cells, all cells together. An adjusted p-value is divided by
its part, so that each is compared with `REGRESSION_LEVEL`."""
KEY = ["name", "estimator_params", *PROBLEM, *(column for column in EXECUTION if column != "seed"), "samples"]
"""Columns that must agree for two cells of two runs to be the same measurement; seeds may differ."""


@dataclass(frozen=True)
class Regressions(InNotebooks):
    """Comparison of the second run with the first.

    `rows`: one row per matched cell × metric: `ratio` (second ÷ first; of times, ÷ `common`, the change that all cells
    share) with its interval, `p` (adjusted) of the test that it is worse by more than the limit, `regressed`, `basis`
    (what the ratio rests on, see `bench.analysis.changes`) and `finds`, the smallest change for the worse, as a share,
    that this test finds with a power of 80 %.
    `groups`: the same for the mean change of an estimator's cells, a problem's cells, and all cells.
    `power`: one row per limit: what could have been found (see `bench.analysis.detectable.power_of`).
    `failures`: a sentence per broken limit. `notes`: sentences on other changes and on cells that were not compared.
    """

    limits: tuple[Limit, ...]
    rows: pd.DataFrame = field(repr=False)
    groups: pd.DataFrame = field(repr=False)
    power: pd.DataFrame = field(repr=False)
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __rich__(self) -> object:
        return regressions_view(self)

    def power_sentences(self) -> list[str]:
        """Returns sentences on what the comparison could have found."""
        return [sentence for row in self.power.to_dict("records") for sentence in power_sentences(row)]

    def to_json(self) -> str:
        """Returns the comparison as one JSON object: the tables as lists of rows, null where there is no number."""
        tables = {name: frame_rows(getattr(self, name)) for name in ("rows", "groups", "power")}
        words = {"failures": self.failures, "notes": self.notes, "power_sentences": self.power_sentences()}
        return json.dumps({"limits": [limit._asdict() for limit in self.limits], **tables, **words}, ensure_ascii=False)


def frame_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Returns a frame as a list of rows for JSON, null where a number is missing or infinite."""
    return json.loads(str(frame.to_json(orient="records", force_ascii=False)))


def parse_limits(text: str) -> tuple[Limit, ...]:
    """Returns the limits in a text such as `variance>10%, seconds_per_estimate>25%`; raises BadInput for other texts.

    >>> parse_limits("variance>10%")
    (Limit(metric='variance', share=0.1),)
    >>> parse_limits("varience>10%")
    Traceback (most recent call last):
    estimators.errors.BadInput: --fail-on: there is no metric 'varience'; did you mean 'variance'?
    """
    return tuple(_limit(part.strip()) for part in text.split(",")) if text.strip() else ()


def _limit(part: str) -> Limit:
    found = re.fullmatch(r"(\w+)\s*>\s*(\d+(?:\.\d+)?)\s*%", part)
    if found is None:
        raise BadInput(f"--fail-on: expected METRIC>PERCENT% such as variance>10%, found {part!r}")
    metric, share = found[1], float(found[2]) / 100
    if metric not in METRICS:
        raise BadInput(f"--fail-on: there is no metric {metric!r}; {nearest(metric, METRICS)}")
    if METRICS[metric].direction not in ("lower", "higher"):
        raise BadInput(f"--fail-on: {metric!r} has no better or worse direction; use a metric such as variance or mse")
    return Limit(metric, share)


def compare_runs(
    before: pd.DataFrame, after: pd.DataFrame, fail_on: str = "", *, metric: str = "variance"
) -> Regressions:
    """Returns the comparison of the run `after` with the run `before`.

    A cell regressed if it is shown worse by more than the limit, by Holm's method over all cells and limits; a group of
    related cells if its mean is, by the method of Benjamini and Hochberg over groups. Without `fail_on` the limit is 0
    and there are no failures. Raises BadInput if the runs have no cell in common.
    """
    limits = parse_limits(fail_on)
    judged = limits or (Limit(metric, 0.0),)
    both = _matched(wide_table(before), wide_table(after))
    tested = _tested(both, judged)
    groups = _pooled_tests(tested)
    power = power_of(tested, groups, judged, _level_of_a_cell(tested))
    lost = _lost(both, limits)
    worse = [_sentence(row) for row in tested[tested["regressed"]].to_dict("records")]
    notes = (*_about_times(tested), *_changes(both), *(() if limits else lost))
    failures = (*worse, *_of_groups(groups, tested), *lost) if limits else ()
    return Regressions(limits, tested, groups, power, failures, notes)


def _matched(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Returns the cells of both runs side by side; `side`: the runs that have the cell."""
    keys = [key for key in KEY if key in before and key in after]
    both = before.drop_duplicates(keys, keep="last").merge(
        after.drop_duplicates(keys, keep="last"),
        on=keys,
        how="outer",
        suffixes=("_before", "_after"),
        indicator="side",
    )
    if not (both["side"] == "both").any():
        raise BadInput("the two runs have no cell in common")
    shared = both[both["side"] == "both"]
    changed = shared[shared["problem_version_before"].ne(shared["problem_version_after"]).fillna(False)]
    if len(changed):
        row = changed.iloc[0]
        raise BadInput(
            f"{row['problem_before']} is another problem in the second run (version {row['problem_version_before']}, "
            f"then {row['problem_version_after']}); runs on different problem versions cannot be compared"
        )
    return both


def _tested(both: pd.DataFrame, limits: tuple[Limit, ...]) -> pd.DataFrame:
    """Returns ratio, adjusted p-value and smallest change found of every matched cell and limit."""
    shared = both[both["side"] == "both"].reset_index(drop=True)
    frame = pd.concat([changes(shared, limit) for limit in limits], ignore_index=True)
    frame = with_smallest(frame, _level_of_a_cell(frame))
    frame["p"] = _adjusted(frame["p"], _open(frame), holm, PARTS_OF_LEVEL["cell"])
    frame["regressed"] = frame["p"] < REGRESSION_LEVEL
    return frame.sort_values(["regressed", "p"], ascending=[False, True], kind="stable").reset_index(drop=True)


def _open(frame: pd.DataFrame) -> pd.Series:
    """Which rows are tests: a ratio that is exact and within its limit is certain, and no test can fail on it."""
    return frame["p"].notna() & ~((frame["error"] == 0) & (frame["p"] == 1))


def _level_of_a_cell(frame: pd.DataFrame) -> float:
    """The level at which a single change among the open tests is found: the first step of Holm's method."""
    return REGRESSION_LEVEL * PARTS_OF_LEVEL["cell"] / max(int(_open(frame).sum()), 1)


def _adjusted(p: pd.Series, open_: pd.Series, method: Callable[[np.ndarray], np.ndarray], level: float) -> pd.Series:
    """The p-values adjusted for the open tests of a family and for the family's part of the level."""
    adjusted = method(p.where(open_).to_numpy(float)) / level
    return pd.Series(adjusted, p.index).clip(upper=1.0).where(open_, p)


def _pooled_tests(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns the groups of related cells with adjusted p-values and the smallest change found.

    Groups by the method of Benjamini and Hochberg, all cells together by Holm's over limits; each family has its part
    of the level. `finds` is of the group's own test, if no other group changed.
    """
    groups = pooled_changes(rows)
    together = groups["kind"] == ALL
    families = ((~together, benjamini_hochberg, PARTS_OF_LEVEL["group"]), (together, holm, PARTS_OF_LEVEL[ALL]))
    for mine, method, level in families:
        part = with_smallest(groups[mine], REGRESSION_LEVEL * level / max(int(mine.sum()), 1))
        groups.loc[mine, "finds"] = part["finds"]
        groups.loc[mine, "p"] = _adjusted(part["p"], part["p"].notna(), method, level)
    groups["regressed"] = groups["p"] < REGRESSION_LEVEL
    return groups


def _about_times(tested: pd.DataFrame) -> list[str]:
    """Returns, for each time metric, sentences on the common change and on the cells that are not judged."""
    notes = []
    for metric, rows in tested[tested["metric"].isin(TIMES)].groupby("metric", sort=False):
        judged, silent = rows[rows["p"].notna()], int(rows["p"].isna().sum())
        if len(judged):
            value, low, high = (float(judged[name].iloc[0]) for name in COMMON)
            notes.append(
                f"{metric}: all cells together × {value:.3g} ({low:.3g} to {high:.3g}); each ratio is relative to "
                "this, because a change of the machine looks like a change of all cells"
            )
        if silent:
            notes.append(
                f"{metric} of {silent} of {len(rows)} cells: not judged. A repetition of a run differs by more than "
                "the interval within a run; how much more is read from the cells of both runs, if at least "
                f"{FEWEST_CELLS} of them were visited more than once"
            )
    return notes


def _lost(both: pd.DataFrame, limits: tuple[Limit, ...]) -> list[str]:
    """Returns a sentence per cell that was ok before and is not now: its limits cannot be checked."""
    shared = both[both["side"] == "both"]
    broken = shared[(shared["status_before"] == "ok") & (shared["status_after"] != "ok")]
    return [
        f"{_cell(row)}: was ok, is now {row['status_after']} ({row['reason_after'] or 'no reason given'})"
        for row in broken.to_dict("records")
    ]


def _changes(both: pd.DataFrame) -> list[str]:
    """Returns sentences on other changes: bias verdicts, and cells in one run only."""
    shared = both[both["side"] == "both"]
    turned = shared[(shared["verdict_before"] != shared["verdict_after"]) & (shared["status_after"] == "ok")]
    notes = [
        f"{_cell(row)}: the bias verdict was {row['verdict_before'] or 'none'}, is now {row['verdict_after'] or 'none'}"
        for row in turned.to_dict("records")
    ]
    for side, words in (("left_only", "first"), ("right_only", "second")):
        count = int((both["side"] == side).sum())
        if count:
            notes.append(f"{count} cells are in the {words} run only")
    return notes


def _sentence(row: dict) -> str:
    return (
        f"{row['estimator']} on {row['problem']}, n = {row['samples']}: {row['metric']} × {row['ratio']:.3g} "
        f"({row['ratio_low']:.3g} to {row['ratio_high']:.3g}), beyond the limit of {row['limit']:.0%}"
    )


def _of_groups(groups: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
    """Returns a sentence per group that regressed although none of its cells is shown to have regressed."""
    found = rows[rows["regressed"]]
    said = []
    for row in groups[groups["regressed"]].to_dict("records"):
        alone = found[(found["metric"] == row["metric"]) & (found["limit"] == row["limit"])]
        if not len(alone if row["kind"] == ALL else alone[alone[row["kind"]] == row["name"]]):
            said.append(
                f"{_group(row)}: {row['metric']} worse by the factor {row['change']:.3g} ({row['change_low']:.3g} to "
                f"{row['change_high']:.3g}), beyond the limit of {row['limit']:.0%}"
            )
    return said


def _group(row: dict) -> str:
    name = "all cells" if row["kind"] == ALL else f"{row['kind']} {row['name']}"
    return f"{name} ({row['cells']} cells together)"


def _cell(row: dict) -> str:
    return f"{row['estimator_before']} on {row['problem_before']}, n = {row['samples']}"


def regressions_view(regressions: "Regressions") -> RenderableType:
    """Returns the table of ratios, regressions first, then the notes and failures, for a terminal."""
    table = Table(title="second run relative to the first", caption=_counts(regressions))
    for name in ("problem", "estimator", "n", "metric", "ratio", "limit", "adjusted p", "would find", ""):
        table.add_column(name)
    for row in regressions.rows.head(MAX_ROWS).to_dict("records"):
        table.add_row(
            escape(row["problem"]),
            escape(row["estimator"]),
            str(row["samples"]),
            row["metric"],
            interval(row),
            f"{row['limit']:.0%}",
            number(row["p"]),
            "—" if missing(row["finds"]) else percent(row["finds"]),
            Text("worse", style="red") if row["regressed"] else "",
        )
    notes = [Text(note, style="yellow") for note in (*regressions.power_sentences(), *regressions.notes)]
    return Group(table, *notes, *(Text(failure, style="red") for failure in regressions.failures))


def _counts(regressions: "Regressions") -> str:
    worse, every = int(regressions.rows["regressed"].sum()), len(regressions.rows)
    together = int(regressions.groups["regressed"].sum()), len(regressions.groups)
    return (
        f"{worse} of {every} comparisons and {together[0]} of {together[1]} groups of cells got worse beyond the limit"
        + (f"; the {MAX_ROWS} with the smallest p are shown" if every > MAX_ROWS else "")
    )
