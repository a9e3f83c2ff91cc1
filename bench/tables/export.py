"""Writes a run's table as CSV or Parquet."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from bench.tables.files import write_csv, write_parquet
from bench.tables.folder import load
from bench.tables.results import beside
from estimators.errors import BadInput, nearest

FORMATS: dict[str, Callable[[pd.DataFrame, Path], None]] = {"csv": write_csv, "parquet": write_parquet}


def export(results: str | Path | pd.DataFrame, out: str | Path | None = None, *, format: str | None = None) -> Path:
    """Writes the table of a run as CSV or Parquet.

    Args:
        results: Name of a suite that was run, folder of a run, or table.
        out: File to write. Default: results.csv or results.parquet in the folder of the run.
        format: csv or parquet. Default: what the name of the file ends in, or csv.

    Returns:
        The path of the written file.

    Raises:
        BadInput: There is no such format or table, or no place to write it.
    """
    chosen = format or (Path(out).suffix.removeprefix(".") if out is not None else "csv")
    if chosen not in FORMATS:
        raise BadInput(f"there is no format {chosen!r}; {nearest(chosen, FORMATS)}")
    target = Path(out) if out is not None else beside(results, f"results.{chosen}")
    FORMATS[chosen](load(results), target)
    return target
