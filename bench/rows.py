"""Records → the long table: a row per cell and metric, with the declared columns and plain dtypes."""

# pandas' own annotations are too wide for a type checker:
# pyright: reportArgumentType=false, reportCallIssue=false, reportReturnType=false, reportAssignmentType=false

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from bench.columns import COLUMNS
from bench.derived import derived
from bench.metrics import METRICS
from bench.records import Measured

DTYPES = {"text": "str", "integer": "Int64", "number": "float64", "truth": "bool"}
MEASURED = tuple(Measured.__annotations__)


def rows(run: str, records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """A row per measurement, and one row with a null metric for a record that has none."""
    records = list(records)
    counts = [max(1, len(record["measurements"])) for record in records]
    names = [name for name in COLUMNS if name not in (*MEASURED, "run", "unit")]
    left = pd.DataFrame({name: [record[name] for record in records] for name in names})
    whole = left.loc[np.repeat(np.arange(len(records)), counts)].reset_index(drop=True)
    empty: dict[str, Any] = dict.fromkeys(MEASURED) | {"block": "all", "method": ""}
    measured = [each for record in records for each in (record["measurements"] or [empty])]
    for name in MEASURED:
        whole[name] = [each[name] for each in measured]
    whole["verdict"] = whole["verdict"].where(whole["metric"] == "relative_bias", "")
    units = {metric.name: metric.unit for metric in METRICS.values()}
    return _ordered(typed(whole.assign(run=run, unit=whole["metric"].map(units))))


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """The declared columns, in their order, with their plain dtypes."""
    return frame[list(COLUMNS)].astype({name: DTYPES[column.kind] for name, column in COLUMNS.items()})


def _ordered(measured: pd.DataFrame) -> pd.DataFrame:
    """With the derived metrics, cells in the order of the records, metrics in the order of their declaration."""
    whole = pd.concat([measured, typed(derived(measured))], ignore_index=True)
    cells = {cell: index for index, cell in enumerate(pd.unique(measured["cell"]))}
    metrics = {name: index for index, name in enumerate(METRICS)}
    position = pd.DataFrame({"cell": whole["cell"].map(cells), "metric": whole["metric"].map(metrics)})
    return whole.loc[position.sort_values(["cell", "metric"], kind="stable").index].reset_index(drop=True)
