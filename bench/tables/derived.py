"""Computes derived metrics from measured metrics."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pyright: reportAssignmentType=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import numpy as np
import pandas as pd

from bench.statistics.interval import Interval
from bench.tables.metrics import METRICS
from bench.tables.visits import covered

ENDS = ["value", "ci_low", "ci_high"]


def derived(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the derived metrics, with the identity columns of the measured rows.

    Products and their intervals follow `bench.statistics.interval`; counts are exact.
    """
    variance, seconds = _rows(table, "variance"), _rows(table, "seconds_per_estimate")
    calls = _rows(table, "evaluations")
    tokens = _rows(table, "generated_tokens")
    rows = [
        _named(_inverse(seconds), "estimates_per_second", "1 ÷ median time", seconds),
        _named(_product(variance, calls), "variance_per_evaluation", "variance × evaluations"),
        _named(_product(variance, tokens), "variance_per_token", "variance × generated tokens"),
        _named(_product(variance, seconds), "work_normalised_variance", "variance × median time", seconds),
    ]
    return pd.concat([part for part in rows if len(part)] or [table.iloc[:0]], ignore_index=True)


def _rows(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    return table[(table["metric"] == metric) & table["value"].notna()]


def _named(rows: pd.DataFrame, metric: str, method: str, timed: pd.DataFrame | None = None) -> pd.DataFrame:
    """The rows renamed to a derived metric; their method says what the interval of the time covers."""
    how: str | pd.Series = method
    if timed is not None and "method" in timed:
        said = timed.drop_duplicates("cell").set_index("cell")["method"].astype(object).map(covered)
        how = method + rows["cell"].map(said).fillna("").astype(str).map(lambda words: words and f"; {words}")
    return rows.assign(metric=metric, unit=METRICS[metric].unit, method=how)


def _inverse(rows: pd.DataFrame) -> pd.DataFrame:
    return _with(rows, _interval(rows).reciprocal())


def _product(rows: pd.DataFrame, factor: pd.DataFrame) -> pd.DataFrame:
    """The rows times `factor`, for the cells that have both; a value without an interval counts as exact."""
    per_cell = factor[factor["block"] == "all"].drop_duplicates("cell").set_index("cell")[ENDS]
    rows = rows[rows["cell"].isin(per_cell.index)]
    other = _interval(per_cell.loc[rows["cell"]]).or_exact()
    return _with(rows, _interval(rows).or_exact().times(other))


def _interval(rows: pd.DataFrame) -> Interval:
    return Interval(*(rows[name].to_numpy(float) for name in ENDS))


def _with(rows: pd.DataFrame, interval: Interval) -> pd.DataFrame:
    return rows.assign(**dict(zip(ENDS, interval, strict=True)))


RANDOM_SECONDS = "random_seconds_per_estimate"


def with_limit(rows: pd.DataFrame) -> pd.DataFrame:
    """Adds `times_of_limit` and its interval to a wide table: seconds per estimate ÷ seconds of its random numbers.

    Null where either was not measured or nothing is drawn.
    """
    time, least = (Interval.of_columns(rows, name) for name in ("seconds_per_estimate", RANDOM_SECONDS))
    ratio = time.over(least)
    drawn = (time.value > 0) & (least.value > 0)
    names = ("times_of_limit", "times_of_limit_low", "times_of_limit_high")
    return rows.assign(**{name: np.where(drawn, end, np.nan) for name, end in zip(names, ratio, strict=True)})
