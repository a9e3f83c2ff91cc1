"""Reads the cells of a table of any size: some whole cells at a time, so that the long table is never in memory."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd
from pandas.api.types import union_categoricals

from bench.tables.columns import COLUMNS
from bench.tables.folder import load, table_files
from bench.tables.metrics import METRICS
from bench.tables.parts import read_batches, read_parts
from bench.tables.where import select
from bench.tables.wide import bare_cells, labelled, wide_table
from estimators.errors import BadInput

UNUSED = ("run", "attempt", "stop_reason", "wall_s", "threads", "unit", "n", "source_digest", "plugin", "rarest_event")
"""Columns that no comparison needs."""


def read_cells(
    results: str | Path | pd.DataFrame,
    *,
    where: str | None = None,
    metrics: Iterable[str] = METRICS,
    batches: bool = False,
) -> pd.DataFrame:
    """The wide table of a run, with some metrics alone; see `bench.tables.wide`.

    Args:
        results: Name of a suite that was run, folder of a run, file, folder of Parquet files, or table.
        where: Reads only these cells.
        metrics: The metrics that get columns. Rows of others are not read.
        batches: Whether to read the column `batches`, which takes most of the memory.

    Raises:
        BadInput: There is no such run, the file is not a table of gradest, or `where` matches no row.
    """
    files = [] if isinstance(results, pd.DataFrame) else table_files(results)
    if files and all(file.suffix == ".parquet" for file in files):
        cells = _from_files(files, where, list(metrics), (*UNUSED, *(() if batches else ("batches",))))
    else:
        cells = wide_table(select(load(results), where))
    if where and not len(cells):
        of = "" if isinstance(results, pd.DataFrame) else f" of {results}"
        raise BadInput(f"--where {where!r} selects no row{of}")
    return cells


def _from_files(files: Sequence[Path], where: str | None, metrics: list[str], unused: Sequence[str]) -> pd.DataFrame:
    columns = [name for name in COLUMNS if name not in unused]
    rows = read_batches(files, columns, where, metrics)
    chunks = [bare_cells(chunk, metrics) for chunk in _whole_cells(rows)]
    cells = _stacked(chunks)
    if cells["cell"].duplicated().any():  # a cell's rows do not stand together
        cells = bare_cells(read_parts(files, columns, where, metrics), metrics)
    return labelled(cells)


def _whole_cells(chunks: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """The chunks, cut between cells: the rows of a cell that two chunks share come as a separate chunk."""
    rest: pd.DataFrame | None = None
    for chunk in chunks:
        if not len(chunk):  # the only one
            yield chunk
            return
        cell = chunk["cell"].to_numpy()
        shared = 0 if rest is None else int((cell == rest["cell"].iloc[0]).cumprod().sum())
        if rest is not None:
            rest = pd.concat([_plain(rest), _plain(chunk.iloc[:shared])], ignore_index=True)
            if shared == len(chunk):
                continue
            yield rest
        last = len(chunk) - int((cell[::-1] == cell[-1]).cumprod().sum())
        rest = chunk.iloc[last:]
        if last > shared:
            yield chunk.iloc[shared:last]
    if rest is not None:
        yield rest


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({name: "str" for name, kind in frame.dtypes.items() if kind == "category"})


def _stacked(chunks: list[pd.DataFrame]) -> pd.DataFrame:
    """Frames one below the other; texts become categories, whatever they were."""
    coded = [name for name in chunks[0] if not pd.api.types.is_numeric_dtype(chunks[0][name].dtype) and name != "cell"]
    numbers = pd.concat([chunk.drop(columns=coded) for chunk in chunks], ignore_index=True)
    texts = {name: union_categoricals([chunk[name].astype("category") for chunk in chunks]) for name in coded}
    return pd.concat([numbers, pd.DataFrame(texts, index=numbers.index)], axis=1)[list(chunks[0])]
