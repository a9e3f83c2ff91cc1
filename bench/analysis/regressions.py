"""Comparison of two runs of a suite: cells that got worse, at a family-wise level."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import re
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from bench.analysis.repeated_times import FEWEST_CELLS, repeated
from bench.display.notebook import InNotebooks
from bench.display.terminal import MAX_ROWS, interval, number
from bench.statistics.interval import Interval
from bench.statistics.means import holm
from bench.statistics.ratios import p_above, p_below
from bench.tables.metrics import METRICS
from bench.tables.wide import EXECUTION, PROBLEM, wide_table
from estimators.errors import BadInput, nearest

REGRESSION_LEVEL = 0.05
KEY = ["name", "estimator_params", *PROBLEM, *(column for column in EXECUTION if column != "seed"), "samples"]
"""Columns that must agree for two cells of two runs to be the same measurement; seeds may differ."""


class Limit(NamedTuple):
    """A limit: `metric` may get worse by at most the factor 1 + `share`."""

    metric: str
    share: float


@dataclass(frozen=True)
class Regressions(InNotebooks):
    """Comparison of the second run with the first.

    `rows`: one row per matched cell × metric: `ratio` (second ÷ first; of times, ÷ `common`, the change that all cells
    share) with its interval, `p` (adjusted) of the test that it is worse by more than the limit, and `regressed`.
    `failures`: a sentence per broken limit. `notes`: sentences on other changes and on cells that were not compared.
    """

    limits: tuple[Limit, ...]
    rows: pd.DataFrame = field(repr=False)
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __rich__(self) -> object:
        return regressions_view(self)


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

    A cell regressed if it is shown worse by more than the limit, by Holm's method over all cells and limits. Without
    `fail_on` the limit is 0 and there are no failures. Raises BadInput if the runs have no cell in common.
    """
    limits = parse_limits(fail_on)
    both = _matched(wide_table(before), wide_table(after))
    tested = _tested(both, limits or (Limit(metric, 0.0),))
    lost = _lost(both, limits)
    worse = [_sentence(row) for row in tested[tested["regressed"]].to_dict("records")]
    notes = (*_about_times(tested), *_changes(both), *(() if limits else lost))
    return Regressions(limits, tested, (*worse, *lost) if limits else (), notes)


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
    """Returns ratio and adjusted p-value of every matched cell and limit."""
    shared = both[both["side"] == "both"]
    frame = pd.concat([_one_limit(shared, limit) for limit in limits], ignore_index=True)
    frame["p"] = holm(frame["p"].to_numpy(float))
    frame["regressed"] = frame["p"] < REGRESSION_LEVEL
    return frame.sort_values(["regressed", "p"], ascending=[False, True], kind="stable").reset_index(drop=True)


def _one_limit(shared: pd.DataFrame, limit: Limit) -> pd.DataFrame:
    metric, share = limit
    ratio = _side(shared, metric, "_after").over(_side(shared, metric, "_before"))
    degrees, common = np.full(len(shared), np.inf), Interval.exact(1.0)
    if metric in TIMES:
        ratio, degrees, common = _of_repetitions(shared, ratio)
    lower = METRICS[metric].direction == "lower"
    p = p_above(ratio, 1 + share, degrees) if lower else p_below(ratio, 1 / (1 + share), degrees)
    frame = shared[["problem_before", "estimator_before", "samples"]].set_axis(
        ["problem", "estimator", "samples"], axis=1
    )
    frame = frame.assign(metric=metric, limit=share, ratio=ratio.value, ratio_low=ratio.low, ratio_high=ratio.high, p=p)
    return frame.assign(**dict(zip(COMMON, common, strict=True))).dropna(subset="ratio")


COMMON = ("common", "common_low", "common_high")
"""The change that the times of all cells share, by which a ratio of times is divided; 1 for other metrics."""
TIMES = ("seconds_per_estimate", "estimates_per_second", "device_seconds_per_estimate", "random_seconds_per_estimate",
         "work_normalised_variance")  # fmt: skip
"""The metrics whose intervals come from timing."""


def _of_repetitions(shared: pd.DataFrame, ratio: Interval) -> tuple[Interval, Float[ndarray, " rows"], Interval]:
    """Returns ratios of times with intervals that cover a repetition, their degrees of freedom, and the common change.

    Degrees are NaN, hence without a p-value, if a cell was visited once, or if too few cells show how runs differ.
    """
    visits = np.minimum(*(shared[f"visits{side}"].to_numpy(float) for side in ("_before", "_after")))
    found = repeated(ratio, visits - 1)
    if found is None:
        return ratio, np.full(len(shared), np.nan), Interval.exact(1.0)
    return found.ratio, found.degrees, found.common


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


def _side(shared: pd.DataFrame, metric: str, side: str) -> Interval:
    """Returns a metric's values and intervals in one run; a number without an interval counts as exact."""
    interval = Interval.of_columns(shared, metric, side)
    return interval.or_exact(np.isnan(interval.low) & np.isnan(interval.high))


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


def _cell(row: dict) -> str:
    return f"{row['estimator_before']} on {row['problem_before']}, n = {row['samples']}"


def regressions_view(regressions: "Regressions") -> RenderableType:
    """Returns the table of ratios, regressions first, then the notes and failures, for a terminal."""
    table = Table(title="second run relative to the first", caption=_counts(regressions))
    for name in ("problem", "estimator", "n", "metric", "ratio", "limit", "adjusted p", ""):
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
            Text("worse", style="red") if row["regressed"] else "",
        )
    notes = [Text(note, style="yellow") for note in regressions.notes]
    return Group(table, *notes, *(Text(failure, style="red") for failure in regressions.failures))


def _counts(regressions: "Regressions") -> str:
    worse, every = int(regressions.rows["regressed"].sum()), len(regressions.rows)
    return f"{worse} of {every} comparisons got worse beyond the limit" + (
        f"; the {MAX_ROWS} with the smallest p are shown" if every > MAX_ROWS else ""
    )
