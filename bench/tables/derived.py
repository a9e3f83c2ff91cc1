"""Metrics that follow from measured ones: one pure function of the table."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pyright: reportAssignmentType=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import numpy as np
import pandas as pd

from bench.statistics.ratios import Ratio, ratio
from bench.tables.metrics import METRICS
from bench.tables.visits import covered

VALUES = ["value", "ci_low", "ci_high"]


def derived(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the derived metrics, with the identity columns of the rows that they come from.

    A product of independent measurements has the interval whose distances on the log scale are the root of
    the sum of squares of theirs; a count is exact.
    """
    variance, seconds = _rows(table, "variance"), _rows(table, "seconds_per_estimate")
    calls = _rows(table, "evaluations")
    rows = [
        _named(_inverse(seconds), "estimates_per_second", "1 ÷ median time", seconds),
        _named(_product(variance, calls), "variance_per_evaluation", "variance × evaluations"),
        _named(_product(variance, seconds), "work_normalised_variance", "variance × median time", seconds),
    ]
    return pd.concat([part for part in rows if len(part)] or [table.iloc[:0]], ignore_index=True)


def _rows(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    return table[(table["metric"] == metric) & table["value"].notna()]


def _named(rows: pd.DataFrame, metric: str, method: str, timed: pd.DataFrame | None = None) -> pd.DataFrame:
    """The rows under the derived metric's name; their method says what the interval of the time covers."""
    how: str | pd.Series = method
    if timed is not None and "method" in timed:
        said = timed.drop_duplicates("cell").set_index("cell")["method"].astype(object).map(covered)
        how = method + rows["cell"].map(said).fillna("").astype(str).map(lambda words: words and f"; {words}")
    return rows.assign(metric=metric, unit=METRICS[metric].unit, method=how)


def _inverse(rows: pd.DataFrame) -> pd.DataFrame:
    value, low, high = (1 / rows[name].where(rows[name] > 0) for name in VALUES)
    return rows.assign(value=value, ci_low=high, ci_high=low)


def _product(rows: pd.DataFrame, factor: pd.DataFrame) -> pd.DataFrame:
    """The rows whose cell has the factor too, multiplied by it."""
    per_cell = factor[factor["block"] == "all"].drop_duplicates("cell").set_index("cell")[VALUES]
    rows = rows[rows["cell"].isin(per_cell.index)]
    other = per_cell.loc[rows["cell"]].set_axis(rows.index)
    value = rows["value"] * other["value"]
    low = np.exp(-np.hypot(_distance(rows, "ci_low"), _distance(other, "ci_low")))
    high = np.exp(np.hypot(_distance(rows, "ci_high"), _distance(other, "ci_high")))
    return rows.assign(value=value, ci_low=value * low, ci_high=value * high)


def _distance(rows: pd.DataFrame, end: str) -> np.ndarray:
    """|log(end ÷ value)|; without an end the value is exact, and so is a zero."""
    value, limit = rows["value"].to_numpy(float), rows[end].fillna(rows["value"]).to_numpy(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.abs(np.log(limit) - np.log(value))
    return np.where((value > 0) | (limit > 0), distance, 0.0)


RANDOM_SECONDS = "random_seconds_per_estimate"


def with_limit(rows: pd.DataFrame) -> pd.DataFrame:
    """The cells with `times_of_limit` and its interval: seconds per estimate ÷ those of its random numbers alone;
    null where either was not measured or nothing is drawn."""
    time, least = (
        Ratio(*(rows[f"{name}{end}"].astype(float).to_numpy() for end in ("", "_low", "_high")))
        for name in ("seconds_per_estimate", RANDOM_SECONDS)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        found = ratio(time, least)
    drawn = (time.value > 0) & (least.value > 0)
    names = ("times_of_limit", "times_of_limit_low", "times_of_limit_high")
    return rows.assign(**{name: np.where(drawn, end, np.nan) for name, end in zip(names, found, strict=True)})
