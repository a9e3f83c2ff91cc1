"""Reads and writes the table as Parquet and CSV; writing is atomic, and reading checks the file."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from bench.tables import columns
from bench.tables.columns import COLUMNS
from bench.tables.kinds import kinds_of_rows
from bench.tables.long import typed
from estimators.errors import BadInput

ARROW_TYPES = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64(), "truth": pa.bool_()}
ARROW_SCHEMA = pa.schema([(name, ARROW_TYPES[column.kind]) for name, column in COLUMNS.items()])
MARK = b"gradest"
"""Key in a Parquet file's metadata for the state of the records that the table was made from."""


def write_parquet(frame: pd.DataFrame, path: Path, made_from: str = "") -> None:
    """Writes the table as Parquet; `made_from` is stored in the file, so that an outdated table is recognised."""
    content = pa.Table.from_pandas(frame, ARROW_SCHEMA, preserve_index=False)
    marked = content.replace_schema_metadata({MARK: made_from.encode()})
    replace(path, lambda new: pyarrow.parquet.write_table(marked, new))


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Writes the table as CSV: a null is an empty field, an empty text is a quoted empty field."""
    content = pa.Table.from_pandas(frame, ARROW_SCHEMA, preserve_index=False)
    replace(path, lambda new: pyarrow.csv.write_csv(content, new))


def read_table(path: Path) -> pd.DataFrame:
    """Reads a table from a Parquet or CSV file. Raises BadInput if the file is not a table of gradest."""
    try:
        content = pyarrow.parquet.read_table(path) if path.suffix == ".parquet" else _read_csv(path)
        names = content.column_names
    except (OSError, ValueError, pa.ArrowException) as error:
        raise BadInput(f"{path} is not a table of gradest: {_first_line(error)}") from None
    content = with_later_columns(content)
    missing = [name for name in COLUMNS if name not in content.column_names]
    if missing:
        raise BadInput(f"{path} is not a table of gradest: it has no column {missing[0]!r}")
    twice = [name for name in COLUMNS if names.count(name) > 1]
    if twice:
        raise BadInput(f"{path} is not a table of gradest: it has the column {twice[0]!r} twice")
    try:
        frame = content.select(list(COLUMNS)).cast(ARROW_SCHEMA).to_pandas()
        frame = typed(frame.assign(kind=kinds_of_rows(frame)))
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise BadInput(f"{path} is not a table of gradest: {_first_line(error)}") from None
    read = range(columns.OLDEST, columns.SCHEMA + 1)
    others = sorted({int(number) for number in frame["schema"].dropna()} - set(read))
    if others:
        raise BadInput(
            f"{path} was written by another version of gradest: its schema is {others[0]}, and this version reads "
            f"{read.start} to {columns.SCHEMA}"
        )
    return frame


def with_later_columns(content: pa.Table) -> pa.Table:
    """Adds the columns that an earlier schema does not have, filled with null."""
    schemas = content["schema"].drop_null().unique().to_pylist() if "schema" in content.column_names else []
    newest = max((number for number in schemas if isinstance(number, int)), default=columns.SCHEMA)
    for name, column in COLUMNS.items():
        if column.since > newest and name not in content.column_names:
            content = content.append_column(name, pa.nulls(len(content), ARROW_TYPES[column.kind]))
    return content


def made_from(path: Path) -> str | None:
    """The text `made_from` that `write_parquet` stored; None if there is no such file."""
    try:
        metadata = pyarrow.parquet.read_schema(path).metadata or {}
    except (OSError, ValueError, pa.ArrowException):
        return None
    return metadata.get(MARK, b"").decode(errors="replace")


def replace(path: Path, write: Callable[[str], object]) -> None:
    """Writes a temporary file beside `path`, then renames it to `path`. Raises BadInput if it cannot be written."""
    new = path.with_name(f".{path.name}.new")
    try:
        write(str(new))
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise BadInput(f"cannot write {path}: {error.strerror or error}") from None


def _read_csv(path: Path) -> pa.Table:
    convert = pyarrow.csv.ConvertOptions(
        column_types=dict(zip(ARROW_SCHEMA.names, ARROW_SCHEMA.types, strict=True)),
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    return pyarrow.csv.read_csv(path, convert_options=convert)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
