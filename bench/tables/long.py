"""Builds the long table from records: one row per cell and metric, with the declared columns and plain dtypes."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pyright: reportAssignmentType=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from bench.statistics.control import UNSEEN
from bench.tables.columns import ABSENT_IN_OLDER, COLUMNS
from bench.tables.derived import derived
from bench.tables.kinds import kinds_of_rows
from bench.tables.metrics import METRICS
from bench.tables.records import Measured
from estimators.text import visible

PANDAS_TYPES = {"text": "str", "integer": "Int64", "number": "float64", "truth": "bool"}
MEASURED_COLUMNS = tuple(Measured.__annotations__)
OF_RECORD = tuple(name for name in COLUMNS if name not in (*MEASURED_COLUMNS, "run", "unit", "rarest_event"))


def long_rows(run: str, records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """One row per measurement, and one row with a null metric for a record without measurements.

    The columns of the records, mostly text, are expanded to rows only at the end; until then a row holds the number of
    its record.
    """
    records = list(records)
    of_record = _columns(OF_RECORD, [ABSENT_IN_OLDER | record for record in records])
    cells, _ = pd.factorize(of_record["cell"])
    narrow = _ordered(_measurements(records, cells))
    whole = of_record.take(narrow["record"]).reset_index(drop=True)
    whole = whole.assign(run=visible(run), **narrow[[*MEASURED_COLUMNS, "unit"]])
    whole["verdict"] = whole["verdict"].where(whole["metric"] == "relative_bias", "")
    whole["direction"] = whole["direction"].where(whole["metric"] == "angle", "")
    whole["scale_verdict"] = whole["scale_verdict"].where(whole["metric"] == "scale", "")
    whole["batches"] = whole["batches"].where((whole["metric"] == "variance") & (whole["block"] == "all"), "")
    whole["rarest_event"] = rarest_event(whole)
    whole["kind"] = kinds_of_rows(whole)
    return typed(whole)


def rarest_event(whole: pd.DataFrame) -> pd.Series:
    """The column `rarest_event`: 3/R with a verdict *unbiased* or *biased* on R estimates, else null.

    Null for records of schema 1.
    """
    said = whole["verdict"].isin(["unbiased", "biased"]) & (whole["schema"] >= COLUMNS["rarest_event"].since)
    return (UNSEEN / whole["n"].astype("float64")).where(said)


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """The declared columns, in their order, as pandas dtypes."""
    return frame[list(COLUMNS)].astype({name: PANDAS_TYPES[column.kind] for name, column in COLUMNS.items()})


def _measurements(records: list[dict[str, Any]], cells: np.ndarray) -> pd.DataFrame:
    """The measurements of all records, with the number of the record and the number of its cell."""
    empty: dict[str, Any] = dict.fromkeys(MEASURED_COLUMNS) | {"block": "all", "method": ""}
    measured = [each for record in records for each in (record["measurements"] or [empty])]
    record = np.repeat(np.arange(len(records)), [max(1, len(record["measurements"])) for record in records])
    units = {metric.name: metric.unit for metric in METRICS.values()}
    found = _columns(MEASURED_COLUMNS, measured).assign(record=record, cell=cells[record])
    return found.assign(unit=found["metric"].map(units))


def _columns(names: Iterable[str], lines: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        {name: pd.array([line[name] for line in lines], dtype=PANDAS_TYPES[COLUMNS[name].kind]) for name in names}
    )


def _ordered(measured: pd.DataFrame) -> pd.DataFrame:
    """Adds the derived metrics; orders cells as in the records and metrics as declared."""
    whole = pd.concat([measured, derived(measured)], ignore_index=True)
    metrics = {name: index for index, name in enumerate(METRICS)}
    metric = whole["metric"].map(metrics).fillna(len(metrics))
    return whole.take(np.lexsort((metric, whole["cell"]))).reset_index(drop=True)
