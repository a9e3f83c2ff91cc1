"""Writes a run's table as CSV or Parquet."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from bench.tables.files import write_csv, write_parquet
from bench.tables.folder import load
from estimators.errors import BadInput, nearest

FORMATS: dict[str, Callable[[pd.DataFrame, Path], None]] = {"csv": write_csv, "parquet": write_parquet}


def export(folder: str | Path, format: str) -> Path:
    """Writes the table next to the records, as `results.csv` or `results.parquet`."""
    if format not in FORMATS:
        raise BadInput(f"there is no format {format!r}; {nearest(format, FORMATS)}")
    frame, path = load(folder), Path(folder)
    target = (path if path.is_dir() else path.parent) / f"results.{format}"
    FORMATS[format](frame, target)
    return target
