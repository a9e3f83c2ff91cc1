"""The tables of the report, and the cells as data for the browser."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import math
from typing import Any

import pandas as pd

from bench.analysis.bias_order import biased_by_harm
from bench.plots.style import STATUSES
from bench.statistics.interval import Interval
from bench.statistics.over_problems import mean_ratio
from bench.tables.metrics import METRICS, Metric

IDENTITY_FIELDS = ("estimator", "problem", "samples", "status", "verdict", "stop_reason", "reason", "cell")
REPEATED = ("estimator", "problem", "status", "verdict", "stop_reason", "reason")
METRIC_FIELDS = (
    "relative_bias", "scale", "cosine", "angle", "variance", "mse", "snr", "evaluations", "seconds_per_estimate",
    "times_of_limit", "work_normalised_variance",
)  # fmt: skip
"""Metrics with a column in the full table; a cell's window shows all metrics."""
DECLARED = METRICS | {
    "times_of_limit": Metric(
        "times_of_limit",
        "1",
        "lower",
        "Seconds per estimate ÷ seconds of drawing only its random numbers.",
        "throughput",
        True,
    )
}
"""The table's metrics, and the metric that the page adds."""


MOST_BIASED = 40
"""Largest number of rows in the table of biased cells."""


def bias_rows(rows: pd.DataFrame) -> dict[str, Any]:
    """Returns the biased cells, the most harmful first (`rows`), and their number (`count`)."""
    if "verdict" not in rows:
        return {"rows": [], "count": 0}
    biased = biased_by_harm(rows)
    return {"rows": biased.head(MOST_BIASED).to_dict("records"), "count": len(biased)}


def worst_outcomes(rows: pd.DataFrame) -> dict[str, Any]:
    """For each estimator and problem: the row index of the worst-status cell over sample sizes, or null.

    The status is not applicable only if that holds at all sample sizes.
    """
    ranks = {status: rank for rank, status in enumerate(STATUSES)}
    worst = rows.assign(rank=rows["status"].map(ranks), place=range(len(rows))).sort_values("rank", kind="stable")
    worst = worst.drop_duplicates(["estimator", "problem"], keep="last")
    found = dict(zip(zip(worst["estimator"], worst["problem"], strict=True), worst["place"], strict=True))
    names, problems = list(dict.fromkeys(rows["estimator"])), list(dict.fromkeys(rows["problem"]))
    places = [[found.get((name, problem)) for problem in problems] for name in names]
    return {"estimators": names, "problems": problems, "places": places}


def failures(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Returns the cells that were not measured, grouped by status and reason; failures first."""
    lost = rows[rows["status"] != "ok"]
    groups = [
        {
            "status": status,
            "reason": reason or "no reason given",
            "cells": len(group),
            "estimators": _several(group["estimator"], "estimators"),
            "problems": _several(group["problem"], "problems"),
        }
        for (status, reason), group in lost.groupby(["status", "reason"], sort=False)
    ]
    return sorted(groups, key=lambda group: (group["status"] == "not_applicable", -group["cells"]))


def _several(names: pd.Series, noun: str) -> str:
    """Returns up to three names, or the number of names if there are more."""
    found = sorted(set(names))
    return "; ".join(found) if len(found) <= 3 else f"{len(found)} {noun}"


def pivot(pairs: pd.DataFrame, equal: str) -> dict[str, Any]:
    """Returns, for each estimator and problem, the ratio to the baseline with its interval.

    The ratio is the mean over sample sizes on the log scale.
    """
    mine = pairs[pairs["equal"] == equal]
    found = {key: mean_ratio(Interval.of_columns(group, "ratio"), list(group["problem"])).measured
             for key, group in mine.groupby(["estimator", "problem"], sort=False)}  # fmt: skip
    names, problems = list(dict.fromkeys(mine["estimator"])), list(dict.fromkeys(mine["problem"]))
    return {"problems": problems, "rows": [(name, [found.get((name, other)) for other in problems]) for name in names]}


def cell_data(rows: pd.DataFrame) -> dict[str, Any]:
    """Returns all cells as JSON data for the browser.

    `columns` has the names, `rows` a list per cell: numbers with four digits, null for missing values. Nulls at the end
    of a list are left out. Repeated texts are indices into their column's list in `levels`.
    """
    metrics = [name for name in DECLARED if name in rows and rows[name].notna().any()]
    ends = [f"{name}{end}" for name in metrics for end in ("_low", "_high")]
    columns = [
        *(name for name in IDENTITY_FIELDS if name in rows),
        *metrics,
        *(end for end in ends if rows[end].notna().any()),
    ]
    levels = {name: list(dict.fromkeys(rows[name].map(_plain))) for name in columns if name in REPEATED}
    places = {name: {value: place for place, value in enumerate(values)} for name, values in levels.items()}
    coded = rows[columns].assign(**{name: rows[name].map(_plain).map(found) for name, found in places.items()})
    return {
        "columns": columns,
        "levels": levels,
        "shown": ["estimator", "problem", "samples", "status", "verdict", *(m for m in METRIC_FIELDS if m in metrics)],
        "units": {name: DECLARED[name].unit for name in metrics},
        "sentences": {name: DECLARED[name].sentence for name in metrics},
        "rows": [_trimmed([_plain(value) for value in row]) for row in coded.itertuples(index=False, name=None)],
        "outcomes": worst_outcomes(rows),
    }


def _trimmed(row: list[Any]) -> list[Any]:
    """Returns the row without trailing nulls.

    >>> _trimmed([1, None, 2, None, None])
    [1, None, 2]
    """
    return row[: next((i for i in range(len(row), 0, -1) if row[i - 1] is not None), 0)]


def _plain(value: Any) -> str | int | float | None:
    """Returns a JSON value: numbers with four significant digits, None in place of NaN."""
    if value is None or pd.isna(value):
        return None
    if isinstance(value, str):
        return value
    number = float(value)
    if not math.isfinite(number):
        return str(number)
    return int(number) if number.is_integer() and abs(number) < 1e15 else float(f"{number:.4g}")
