"""The cells and their comparison as data for the page, whose scripts draw every figure and table from them."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import math
from typing import Any

import pandas as pd

from bench.analysis.bias_order import biased_by_harm
from bench.analysis.comparison import EQUAL_WORDS, Comparison, latest, problem_identity
from bench.analysis.ranking import Rankings
from bench.plots.style import STATUSES, VERDICTS
from bench.statistics.over_problems import student_factor
from bench.tables.kinds import in_order
from bench.tables.metrics import METRICS, Metric

IDENTITY_FIELDS = ("estimator", "problem", "samples", "status", "verdict", "stop_reason", "reason", "cell")
FILTERED = ("kind", "distribution", "objective", "size")
"""Columns that the page's filters choose by, beside `samples`."""
PLACED_BY = ("point", "model", "turn", "batch", "env")
"""Columns that place a cell in a figure: on a training trajectory, its batch size, and its machine."""
OF_BIASED = ("direction", "scale_verdict")
"""Verdicts on where a bias lies."""
REPEATED = (
    "estimator", "problem", "status", "verdict", "stop_reason", "reason", *FILTERED, "point", "model", "env",
    *OF_BIASED, "identity",
)  # fmt: skip
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


def page_data(rows: pd.DataFrame, found: Comparison, ranked: Rankings) -> dict[str, Any]:
    """Returns all that the page draws, as JSON data for the browser.

    Beside the cells (`cell_data`): `baseline`; `order`, the estimators with the baseline first; `equal`, the quantities
    held equal with their words; `pairs`, a list `[equal, cell, ratio, low, high]` per ratio to the baseline, where
    `equal` and `cell` are places in `equal` and `rows`; `ranking`, the rows of the rankings. For what is said of a
    selection: `biased`, the places of biased cells, the most harmful first; `kinds`, in order; `earlier`, the places of
    cells that were measured again; `student`, Student's 97.5 % points for 2, 3, … problems.
    """
    equals = [equal for equal in EQUAL_WORDS if equal in set(found.pairs["equal"])]
    return cell_data(rows) | {
        "baseline": found.baseline,
        "order": list(dict.fromkeys([found.baseline, *rows["estimator"]])),
        "equal": {equal: EQUAL_WORDS[equal] for equal in equals},
        "pairs": _pair_rows(rows, found.pairs, equals),
        "baselines": {str(row.problem): str(row.baseline) for row in found.pairs.itertuples()},
        "ranking": [{name: _plain(value) for name, value in row.items()} for row in ranked.rows.to_dict("records")],
        "biased": list(biased_by_harm(rows.reset_index(drop=True)).index),
        "kinds": in_order(rows["kind"]) if len(rows) else [],
        "earlier": _places_of_earlier(rows),
        "student": [student_factor(k) for k in range(2, 2 + rows["problem"].nunique())],
    }


def _places_of_earlier(rows: pd.DataFrame) -> list[int]:
    """Returns the places of the cells that the comparison does not use (`bench.analysis.comparison.latest`)."""
    numbered = rows.reset_index(drop=True)
    return sorted(set(numbered.index) - set(latest(numbered).index))


def _pair_rows(rows: pd.DataFrame, pairs: pd.DataFrame, equals: list[str]) -> list[list[Any]]:
    """Returns `[equal, cell, ratio, low, high]` per pair; the cell is the one that the comparison used."""
    if pairs.empty:
        return []
    used = latest(rows.reset_index(drop=True))
    key = ["problem", "samples", "estimator"]
    places = dict(zip(used[key].itertuples(index=False, name=None), used.index, strict=True))
    return [
        [equals.index(row["equal"]), places[tuple(row[name] for name in key)],
         *(_plain(row[name]) for name in ("ratio", "ratio_low", "ratio_high"))]
        for row in pairs.to_dict("records")
    ]  # fmt: skip


def cell_data(rows: pd.DataFrame) -> dict[str, Any]:
    """Returns all cells as JSON data for the browser.

    `columns` has the names, `rows` a list per cell: numbers with four digits, null for missing values. Nulls at the end
    of a list are left out. Repeated texts are indices into their column's list in `levels`.
    """
    metrics = [name for name in DECLARED if name in rows and rows[name].notna().any()]
    rows = _with_identity(rows)
    placed = [
        name for name in (*FILTERED, *PLACED_BY, *OF_BIASED, "identity") if name in rows and rows[name].notna().any()
    ]
    ends = [f"{name}{end}" for name in metrics for end in ("_low", "_high")]
    columns = [
        *(name for name in IDENTITY_FIELDS if name in rows),
        *placed,
        *metrics,
        *(end for end in ends if rows[end].notna().any()),
    ]
    texts = {name: [_plain(value) for value in rows[name]] for name in columns if name in REPEATED}
    levels = {name: list(dict.fromkeys(values)) for name, values in texts.items()}
    places = {name: {value: place for place, value in enumerate(values)} for name, values in levels.items()}
    coded = rows[columns].assign(**{name: [places[name][value] for value in texts[name]] for name in texts})
    return {
        "columns": columns,
        "levels": levels,
        "shown": ["estimator", "problem", "samples", "status", "verdict", *(m for m in METRIC_FIELDS if m in metrics)],
        "units": {name: DECLARED[name].unit for name in metrics},
        "sentences": {name: DECLARED[name].sentence for name in metrics},
        "rows": [_trimmed([_plain(value) for value in row]) for row in coded.itertuples(index=False, name=None)],
        "statuses": list(STATUSES),
        "verdicts": list(VERDICTS),
        "filters": [name for name in (*FILTERED, "samples") if name in rows and rows[name].nunique() > 1],
    }


def _with_identity(rows: pd.DataFrame) -> pd.DataFrame:
    """Adds the column `identity`, a text per problem; null unless problems have several labels, as on two devices."""
    if rows.empty:
        return rows
    number = problem_identity(rows).factorize()[0]
    distinct = number.max() + 1 < rows["problem"].nunique()
    return rows.assign(identity=[f"p{each}" for each in number] if distinct else None)


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
