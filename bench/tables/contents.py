"""Checks the contents of a table, column by column: it may have been edited, damaged or made by someone else."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import json
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from bench.tables.columns import COLUMNS, SINCE
from bench.tables.metrics import METRICS
from estimators.errors import BadInput

SIGNED = {"scale", "cosine", "prompt_weight", "length_slope", "entropy_slope", "variance_of_draws", "variance_of_data",
          "tail_index"}  # fmt: skip
"""Metrics whose values may be negative."""
KNOWN_STATUSES = ("ok", "not_applicable", "failed", "timeout", "crashed", "out_of_memory", "nonfinite")
KNOWN_WORDS = {
    "status": KNOWN_STATUSES,
    "verdict": ("", "unbiased", "biased", "unclear"),
    "direction": ("", "aligned", "turned", "reversed", "unclear"),
    "scale_verdict": ("", "kept", "shrunk", "stretched", "unclear"),
}
SETTINGS_COLUMNS = ("estimator_params", "distribution_params", "objective_params")
TIME = "2026-01-31T12:00:00+00:00"
DEEPEST = 50
"""Levels of brackets in settings."""
AT_LEAST = {"dim": 0, "samples": 1, "replicates": 0, "threads": 0, "attempt": 0, "n": 0, "wall_s": 0, "rarest_event": 0}
NULL_TEXTS = {"metric", "unit", "method", *SINCE}
"""Text columns that may be null: those that older tables lack, too."""
NULL_NUMBERS = {"replicates", "rarest_event", "value", "ci_low", "ci_high", "n"}
"""Other columns that may be null."""


def check_contents(frame: pd.DataFrame, place: str, row: str = "row") -> pd.DataFrame:
    """Returns the table; raises BadInput with the row and the column of the first value that cannot be right.

    Args:
        frame: The table, with the declared types; only the columns that it has are checked.
        place: The file or folder, for the message.
        row: The word for a row in the message.
    """
    for column, wrong, right in _faults(frame):
        rows = np.flatnonzero(np.asarray(wrong, dtype=bool))
        if len(rows):
            value = frame[column].iloc[rows[0]]
            said = "null" if pd.isna(value) else _short(value)
            raise BadInput(f"{place} is not a table of gradest: {row} {rows[0] + 1}, column {column}: {said}; {right}")
    return frame


def _faults(frame: pd.DataFrame) -> Iterator[tuple[str, "np.ndarray | pd.Series", str]]:
    """For each check: the column, which rows fail it, and what would be right."""
    for name in [name for name in COLUMNS if name in frame]:
        if name not in (NULL_TEXTS if COLUMNS[name].kind == "text" else NULL_NUMBERS):
            yield name, frame[name].isna(), "a value is needed"
        if name in SETTINGS_COLUMNS:
            yield name, _texts(frame[name], _is_settings), "settings are a JSON object"
        if name in AT_LEAST:
            yield name, (frame[name] < AT_LEAST[name]).fillna(False), f"at least {AT_LEAST[name]}"
        if COLUMNS[name].kind == "number":
            yield name, np.isinf(frame[name]), "numbers are finite"
        if known := {**KNOWN_WORDS, "metric": METRICS}.get(name):
            yield name, ~frame[name].isin([*known]) & frame[name].notna(), f"known are {', '.join(filter(None, known))}"
    if "created" in frame:
        yield "created", _texts(frame["created"], _is_time), f"a time is written as {TIME}"
    if {"metric", "status"} <= set(frame):
        yield "metric", frame["metric"].isna() & (frame["status"] == "ok"), "a cell that is ok has metrics"
    if {"metric", "value"} <= set(frame):
        signed = frame["metric"].isin(SIGNED) | frame["metric"].isna()
        yield "value", ~signed & (frame["value"] < 0), "this metric is not negative"
    if {"ci_low", "ci_high"} <= set(frame):
        yield "ci_low", frame["ci_low"] > frame["ci_high"], "the low end of an interval is not above its high end"


def record_fault(record: Mapping[str, Any]) -> str:
    """What cannot be right in a record whose keys and types are those declared; empty if nothing."""
    for name in SETTINGS_COLUMNS:
        if not _is_settings(record[name]):
            return f"{name}: {_short(record[name])}; settings are a JSON object"
    if not _is_time(record["created"]):
        return f"created: {_short(record['created'])}; a time is written as {TIME}"
    for name, known in KNOWN_WORDS.items():
        if record[name] not in known:
            return f"{name}: {_short(record[name])}; known are {', '.join(filter(None, known))}"
    for name in AT_LEAST.keys() & record.keys():
        if record[name] is None and name not in NULL_NUMBERS:
            return f"{name}: null; a value is needed"
        if record[name] is not None and record[name] < AT_LEAST[name]:
            return f"{name}: {record[name]}; at least {AT_LEAST[name]}"
    return next(filter(None, map(_measured_fault, record["measurements"])), "")


def _measured_fault(each: Mapping[str, Any]) -> str:
    metric, value, low, high = (each[name] for name in ("metric", "value", "ci_low", "ci_high"))
    if metric not in METRICS:
        return f"metric: {_short(metric)}; known are {', '.join(METRICS)}"
    if value is not None and value < 0 and metric not in SIGNED:
        return f"{metric}: {value}; this metric is not negative"
    if each["n"] is not None and each["n"] < AT_LEAST["n"]:
        return f"n: {each['n']}; at least {AT_LEAST['n']}"
    if low is not None and high is not None and low > high:
        return f"{metric}: the interval from {low} to {high}; its low end is not above its high end"
    return ""


def _texts(column: pd.Series, right: Callable[[str], bool]) -> pd.Series:
    """Where a text column fails a check; each different text is looked at once."""
    wrong = [text for text in column.dropna().unique() if not right(text)]
    return column.isin(wrong)


@lru_cache(maxsize=4096)
def _is_settings(text: str) -> bool:
    if text.count("[") + text.count("{") > 10_000:
        return False
    try:
        found = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and _depth(found) <= DEEPEST


def _no_number(text: str) -> float:
    raise ValueError(text)


def _depth(found: object) -> int:
    inner = found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def _is_time(text: str) -> bool:
    try:
        return math.isfinite(datetime.fromisoformat(text).year)
    except ValueError:
        return False


def _short(value: object) -> str:
    text = repr(value) if isinstance(value, str) else f"{value}"
    return text if len(text) <= 80 else f"{text[:80]} …"
