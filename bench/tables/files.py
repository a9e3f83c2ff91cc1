"""Reads and writes the table as Parquet and CSV; writing is atomic, and reading checks the file."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from pyarrow import compute

from bench.tables import columns
from bench.tables.columns import COLUMNS
from bench.tables.contents import check_contents
from bench.tables.kinds import kinds_of_rows
from bench.tables.long import PANDAS_TYPES, typed
from bench.tables.writing import replace
from estimators.errors import BadInput

ARROW_TYPES = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64(), "truth": pa.bool_()}
ARROW_SCHEMA = pa.schema([(name, ARROW_TYPES[column.kind]) for name, column in COLUMNS.items()])
TEXTS = tuple(name for name, column in COLUMNS.items() if column.kind == "text")
INTEGERS = tuple(name for name, column in COLUMNS.items() if column.kind == "integer")
MOMENT = pa.timestamp("s", "UTC")
"""Type of `created` in a Parquet file."""
CREATED = list(COLUMNS).index("created")
FORMULA = r"'*[=+\-@\t\r\n＝＋－＠]"
"""How a text begins that a spreadsheet takes for a formula, perhaps with apostrophes in front already."""
OTHERWISE = r"'*\s*(?:[.\d][.\d]*(?:[eE][+\-]?\d+)?|(?i:nan?|n/a|null|none|inf|infinity|true|false))\s*\z"
"""Texts that other programs take for a number, a truth value or nothing."""
HASHES = ("cell", "source_digest", "env")
"""Text columns that name things in other tables: their digits are written as they are."""
_compute: Any = compute  # its functions are made when it is imported: no checker knows them
FEW_ROWS, ROWS_PER_BYTE = 200_000, 2
"""A Parquet file has at most so many rows, and so many more for each of its bytes; a real table has 0.2 for each."""
MARK = b"gradest"
"""Key in a Parquet file's metadata for the state of the records that the table was made from."""


def _described() -> pa.Schema:
    """The schema of a Parquet file: each column says what it is and its unit; pandas' metadata keep counts whole."""
    dtypes = {name: PANDAS_TYPES[column.kind] for name, column in COLUMNS.items()} | {"created": "datetime64[s, UTC]"}
    as_pandas = pa.Schema.from_pandas(pd.DataFrame().reindex(columns=list(COLUMNS)).astype(dtypes))
    described = [
        pa.field(
            name,
            MOMENT if name == "created" else ARROW_TYPES[column.kind],
            metadata={"description": column.sentence, **({"unit": column.unit} if column.unit else {})},
        )
        for name, column in COLUMNS.items()
    ]
    return pa.schema(described, as_pandas.metadata)


PARQUET_SCHEMA = _described()


def write_parquet(frame: pd.DataFrame, path: Path, made_from: str = "") -> None:
    """Writes the table as Parquet, with a description and a unit of each column, and `created` as a time.

    `made_from` is stored in the file, so that an outdated table is recognised. Raises BadInput for a text in `created`
    that is not a time.
    """
    content = pa.Table.from_pandas(frame, ARROW_SCHEMA, preserve_index=False)
    try:
        content = content.set_column(CREATED, "created", content["created"].cast(MOMENT)).cast(PARQUET_SCHEMA)
    except pa.ArrowInvalid as error:
        raise BadInput(f"cannot write {path}: column created: {first_line(error)}") from None
    marked = content.replace_schema_metadata({**PARQUET_SCHEMA.metadata, MARK: made_from.encode()})
    replace(path, lambda new: pyarrow.parquet.write_table(marked, new))


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Writes the table as CSV: a null is an empty field, an empty text is a quoted empty field.

    A text that other programs would take for something else, a formula or a number, gets an apostrophe in front, which
    `read_table` removes.
    """
    content = pa.Table.from_pandas(frame, ARROW_SCHEMA, preserve_index=False)
    for name in TEXTS:
        inert = _compute.replace_substring_regex(content[name], f"\\A({_taken(name)})", r"'\1")
        content = content.set_column(content.column_names.index(name), name, inert)
    replace(path, lambda new: pyarrow.csv.write_csv(content, new))


def read_table(path: Path) -> pd.DataFrame:
    """Reads a table from a Parquet or CSV file. Raises BadInput if the file is not a table of gradest."""
    try:
        if not path.is_file():
            raise OSError("it is no regular file")
        content = _read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
        names = content.column_names
    except (OSError, ValueError, pa.ArrowException) as error:
        raise BadInput(f"{path} is not a table of gradest: {first_line(error)}") from None
    content = with_later_columns(content)
    missing = [name for name in COLUMNS if name not in content.column_names]
    if missing:
        raise BadInput(f"{path} is not a table of gradest: it has no column {missing[0]!r}")
    twice = [name for name in COLUMNS if names.count(name) > 1]
    if twice:
        raise BadInput(f"{path} is not a table of gradest: it has the column {twice[0]!r} twice")
    try:
        whole = with_texts_of_times(content).select(list(COLUMNS)).cast(ARROW_SCHEMA)
        whole.validate(full=True)  # texts may be no texts
        frame = whole.to_pandas()
        frame = typed(frame.assign(kind=kinds_of_rows(frame)))
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise BadInput(f"{path} is not a table of gradest: {first_line(error)}") from None
    require_known_schemas({int(number) for number in frame["schema"].dropna()}, path)
    return check_contents(frame, str(path))


def require_known_schemas(found: set[int], path: Path) -> None:
    """Raises BadInput for a schema that this version does not read."""
    read = range(columns.OLDEST, columns.SCHEMA + 1)
    others = sorted(found - set(read))
    if others:
        raise BadInput(
            f"{path} was written by another version of gradest: its schema is {others[0]}, and this version reads "
            f"{read.start} to {columns.SCHEMA}"
        )


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
    if not path.is_file():  # reading a pipe would not end
        return None
    try:
        metadata = pyarrow.parquet.read_schema(path).metadata or {}
    except (OSError, ValueError, pa.ArrowException):
        return None
    return metadata.get(MARK, b"").decode(errors="replace")


def with_texts_of_times(content: pa.Table) -> pa.Table:
    """Returns the table with `created` as text: as a time in Parquet files, as text in those of older versions."""
    if "created" not in content.column_names or not pa.types.is_timestamp(content["created"].type):
        return content
    place, coded = content.column_names.index("created"), content["created"].cast(MOMENT).cast(pa.int64())
    codes = coded.combine_chunks().dictionary_encode()
    texts = _compute.strftime(codes.dictionary.cast(MOMENT), "%Y-%m-%dT%H:%M:%S+00:00")
    return content.set_column(place, "created", pa.DictionaryArray.from_arrays(codes.indices, texts))


def _taken(name: str) -> str:
    """A pattern of the texts of a column that have an apostrophe in front in a CSV."""
    return FORMULA if name in HASHES else f"{FORMULA}|{OTHERWISE}"


def _read_parquet(path: Path) -> pa.Table:
    require_plausible_rows(path)
    return pyarrow.parquet.read_table(path)


def require_plausible_rows(path: Path) -> None:
    """Raises ValueError if a Parquet file states more rows than its bytes can hold: they would fill the memory."""
    rows, size = pyarrow.parquet.read_metadata(path).num_rows, path.stat().st_size
    if rows > FEW_ROWS + ROWS_PER_BYTE * size:
        raise ValueError(f"it states {rows} rows in {size} bytes")


def _read_csv(path: Path) -> pa.Table:
    """Reads CSV as gradest writes it, or as pandas writes it again: 8192.0 for 8192, nothing for an empty text."""
    kinds = {**dict(zip(ARROW_SCHEMA.names, ARROW_SCHEMA.types, strict=True)), **dict.fromkeys(INTEGERS, pa.string())}
    convert = pyarrow.csv.ConvertOptions(column_types=kinds, strings_can_be_null=True, quoted_strings_can_be_null=False)
    content = pyarrow.csv.read_csv(path, convert_options=convert)
    for place, name in enumerate(content.column_names):
        column = content.column(place)
        if name in INTEGERS:
            whole = _compute.replace_substring_regex(column, r"^(-?\d+)\.0*$", r"\1")
            content = content.set_column(place, name, whole.cast(pa.int64()))
        elif name in TEXTS:
            full = column if name in ("metric", "unit") else _without_null(content, column, COLUMNS[name].since)
            content = content.set_column(
                place, name, _compute.replace_substring_regex(full, f"\\A'({_taken(name)})", r"\1")
            )
    return content


def _without_null(content: pa.Table, column: pa.ChunkedArray, since: int) -> pa.ChunkedArray:
    """A text column with empty texts for nulls, except in rows of a schema that does not have the column."""
    has = _compute.greater_equal(content["schema"], since) if since > 1 and "schema" in content.column_names else True
    return _compute.if_else(has, _compute.fill_null(column, ""), column)


def first_line(error: Exception) -> str:
    """The first line of an error's text, or the name of its type."""
    return (str(error).splitlines() or [type(error).__name__])[0]
