"""Reshapes the long table: one row per cell, short labels for its estimator and its problem, a column per metric."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import json
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.tables.kinds import kinds_of_rows
from bench.tables.metrics import METRICS
from bench.tables.visits import visits_of
from estimators.errors import BadInput

PROBLEM = ("distribution", "distribution_params", "objective", "objective_params", "coordinates", "point")
"""The columns that identify the problem of a cell; `problem_version` says whether the problem changed."""
VARIANCES = ("variance", "variance_max", "variance_per_evaluation", "variance_per_token", "work_normalised_variance")
VARIANCE_ROUNDING = {"float64": 1e-24, "float32": 1e-11}
EXECUTION = ("device", "dtype", "mode", "seed")
REQUIRED_COLUMNS = ("cell", "estimator", "estimator_params", *PROBLEM, "samples", "status", "metric", "value")


def wide_table(table: pd.DataFrame) -> pd.DataFrame:
    """The wide table: one row per cell.

    Columns are the cell's identity; the labels `estimator`, `problem` and `name` (the estimator without settings); the
    problem's `kind`; `status`, `reason`, `verdict`, `direction`, `scale_verdict` and `batches`; for each metric, its
    value and interval, as in `variance`, `variance_low`, `variance_high`, null where not measured; `batch`, the
    replicates of a timed step; and `visits`, the number of visits behind the intervals of its times, null where there
    was a single visit.

    A problem's label ends in the execution settings (device, mode, …) that vary in the table, so that cells with the
    same `problem` and `samples` differ only in the estimator. A cell whose timing failed keeps its accuracy, and its
    status is the failure. A variance that is only rounding error is 0. A frame that is already wide is returned
    unchanged.

    Raises BadInput if `table` is not a gradest table.
    """
    return table if "problem" in table else labelled(bare_cells(table))


def bare_cells(table: pd.DataFrame, metrics: Iterable[str] = METRICS) -> pd.DataFrame:
    """The wide table without labels: they depend on what varies among all cells, the rest on a cell's own rows.

    `metrics`: those that get columns. Raises BadInput if `table` is not a gradest table.
    """
    missing = [column for column in REQUIRED_COLUMNS if column not in table]
    if missing:
        raise BadInput(f"this is not a gradest table: it has no column {missing[0]!r}")
    first = table.drop_duplicates("cell").set_index("cell", drop=False)
    outcome = _outcomes(table).reindex(first.index)
    found = first.drop(columns=[*PER_METRIC], errors="ignore").assign(
        kind=kinds_of_rows(first),
        status=outcome["status"],
        reason=outcome["reason"],
        verdict=_verdicts(table, first.index),
        direction=_verdicts(table, first.index, "direction", "angle"),
        scale_verdict=_verdicts(table, first.index, "scale_verdict", "scale"),
        batches=_verdicts(table, first.index, "batches", "variance"),
    )
    timed = table[table["metric"].eq("seconds_per_estimate").fillna(False)].drop_duplicates("cell").set_index("cell")
    found["visits"] = _visits(timed).reindex(first.index)
    found["batch"] = timed["replicates"].reindex(first.index).astype(float) if "replicates" in timed else np.nan
    return pd.concat([found, _metrics(table, first.index, metrics)], axis=1).reset_index(drop=True)


def labelled(cells: pd.DataFrame) -> pd.DataFrame:
    """Cells with the labels `estimator`, `problem` and `name`; variances that are only rounding error become 0."""
    named = cells.assign(
        name=cells["estimator"].astype("str"), estimator=estimator_labels(cells), problem=problem_labels(cells)
    )
    return _without_rounding(named)


PER_METRIC = ("metric", "value", "ci_low", "ci_high", "n", "unit", "method", "block")


def estimator_labels(first: pd.DataFrame) -> pd.Series:
    """Short labels of estimators: the name, with the settings that vary among estimators of that name in the table.

    >>> first = pd.DataFrame({"estimator": ["gumbel_softmax", "gumbel_softmax", "rloo"],
    ...     "estimator_params": ['{"temperature":0.5}', '{"temperature":1.0}', "{}"]})
    >>> list(estimator_labels(first))
    ['gumbel_softmax(temperature=0.5)', 'gumbel_softmax(temperature=1)', 'rloo']
    """
    labels = _named(first, "estimator")
    forced = first["forced"].fillna(False).astype(bool) if "forced" in first else pd.Series(False, first.index)
    return labels.where(~forced, labels + " (forced)")


def problem_labels(first: pd.DataFrame) -> pd.Series:
    """Labels `objective / distribution`, followed by other columns that vary: coordinates, point, device, mode, …"""
    varying = [column for column in EXECUTION if column in first and first[column].nunique() > 1]
    number, distinct = numbered(first[[*PROBLEM, *varying]])
    labels = _named(distinct, "objective") + " / " + _named(distinct, "distribution")
    pair = distinct["objective"].astype(str) + "/" + distinct["distribution"].astype(str)
    for column in ("coordinates", "point"):
        varies = distinct.groupby(pair)[column].transform("nunique") > 1
        labels = labels.where(~varies, labels + ", " + distinct[column].astype(str))
    for column in varying:
        labels = labels + ", " + ("seed " if column == "seed" else "") + distinct[column].astype(str)
    return pd.Series(labels.astype("str").array.take(number), index=first.index)


def numbered(frame: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """The number of each row's distinct row, and the distinct rows, so that each is worked out once."""
    number = frame.groupby(list(frame), sort=False, dropna=False, observed=True).ngroup().to_numpy()
    _, place = np.unique(number, return_index=True)
    return number, frame.iloc[place].reset_index(drop=True)


def _named(first: pd.DataFrame, kind: str) -> pd.Series:
    """The label of each row's plug-in: its name, and the settings that vary among plug-ins of that name."""
    number, distinct = numbered(first[[kind, f"{kind}_params"]])
    pairs = list(zip(distinct[kind].astype(str), distinct[f"{kind}_params"].astype(str), strict=True))
    settings = {pair: _settings(pair[1]) for pair in set(pairs)}
    of_name: dict[str, list[dict[str, Any]]] = {}
    for (name, _), found in settings.items():
        of_name.setdefault(name, []).append(found)
    known = {(name, text): _label(name, found, of_name[name]) for (name, text), found in settings.items()}
    labels = pd.array([known[pair] for pair in pairs], dtype="str")
    return pd.Series(labels.take(number), index=first.index)


def _settings(text: str) -> dict[str, Any]:
    found = json.loads(text) if text and text not in ("nan", "None", "<NA>") else {}
    return found if isinstance(found, dict) else {}


def _varying(settings: Sequence[dict[str, Any]]) -> list[str]:
    """The names of settings that vary, and of settings that hold another plug-in, so that wrappers are labelled."""
    keys = sorted({key for each in settings for key in each})
    texts = {key: {json.dumps(each.get(key)) for each in settings} for key in keys}
    wrapped = {key for each in settings for key, value in each.items() if isinstance(value, dict)}
    return [key for key in keys if len(texts[key]) > 1 or key in wrapped]


def _label(name: str, settings: dict[str, Any], every: Sequence[dict[str, Any]]) -> str:
    """The name with those of its settings that vary in `every`, the settings of all plug-ins of this name."""
    shown = [key for key in _varying(every) if settings.get(key) is not None]
    parts = [_part(key, settings[key], [each.get(key) for each in every]) for key in shown]
    return f"{name}({', '.join(parts)})" if parts else name


def _part(key: str, value: Any, others: Sequence[Any]) -> str:
    """A setting in a label. A wrapped plug-in shows what varies among `others` of its name, and not its key."""
    if isinstance(value, dict) and "name" in value:
        same = [each for each in others if isinstance(each, dict) and each.get("name") == value["name"]]
        inner, *rest = ({name: of for name, of in each.items() if name != "name"} for each in (value, *same))
        return _label(str(value["name"]), inner, rest)
    if isinstance(value, float):
        return f"{key}={value:g}" if float(f"{value:g}") == value else f"{key}={value!r}"
    return f"{key}={value}"


def _outcomes(table: pd.DataFrame) -> pd.DataFrame:
    """The status and reason of each cell: those of its first row that is not ok, else ok."""
    kept = [name for name in ("cell", "status", "reason") if name in table]
    failed = table.loc[~table["status"].eq("ok").fillna(False).astype(bool), kept]
    rows = pd.concat([failed.drop_duplicates("cell"), table[kept].drop_duplicates("cell")]).drop_duplicates("cell")
    rows = rows.set_index("cell").reindex(columns=["status", "reason"])
    return rows.astype(object).fillna("").astype("str")


def _visits(timed: pd.DataFrame) -> pd.Series:
    """The number of visits of each timed cell, from the method of its row."""
    if "method" not in timed:
        return pd.Series(np.nan, timed.index)
    return timed["method"].astype(object).map(visits_of).astype(float)


def _verdicts(
    table: pd.DataFrame, index: pd.Index, column: str = "verdict", metric: str = "relative_bias"
) -> pd.Series:
    """The verdict of each cell, in `column` of the row of `metric`; empty without a verdict."""
    if column not in table:
        return pd.Series("", index=index)
    rows = _whole(table[table["metric"].eq(metric).fillna(False)])
    found = rows.drop_duplicates("cell").set_index("cell")[column]
    return found.reindex(index).astype(object).fillna("").astype("str")


def _metrics(table: pd.DataFrame, index: pd.Index, metrics: Iterable[str]) -> pd.DataFrame:
    """One column per metric, and two columns for its interval."""
    names = list(metrics)
    rows = _whole(table[table["metric"].notna() & table["metric"].isin(names)])
    rows = rows.drop_duplicates(["cell", "metric"], keep="last")
    ends: dict[str, str] = {"value": "", "ci_low": "_low", "ci_high": "_high"}
    wide = {
        f"{metric}{suffix}": group.set_index("cell")[column].astype(float)
        for metric, group in rows.groupby(rows["metric"].astype(str))
        for column, suffix in ends.items()
        if column in group
    }
    every: list[Hashable] = [f"{metric}{suffix}" for metric in names for suffix in ends.values()]
    return pd.DataFrame(wide, index=index).reindex(columns=every).astype(float)


def _without_rounding(cells: pd.DataFrame) -> pd.DataFrame:
    """Sets variances to 0 that are below `VARIANCE_ROUNDING` times the largest variance on their problem."""
    if "variance" not in cells:
        return cells
    largest = cells.groupby(["problem", "samples"])["variance"].transform("max")
    single = cells["dtype"].eq("float32").fillna(False).to_numpy(bool) if "dtype" in cells else False
    noiseless = cells["variance"] < largest * np.where(
        single, VARIANCE_ROUNDING["float32"], VARIANCE_ROUNDING["float64"]
    )
    columns = [f"{name}{end}" for name in VARIANCES for end in ("", "_low", "_high") if f"{name}{end}" in cells]
    zero = cells[columns].mask(noiseless, cells[columns] * 0)
    return cells.assign(**{column: zero[column] for column in columns})


def _whole(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the whole gradient, without those of single blocks of parameters."""
    return rows[rows["block"].fillna("all").eq("all")] if "block" in rows else rows
