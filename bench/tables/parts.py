"""Reads a part of a large table: only the columns and rows that are asked for reach memory."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial, reduce
from operator import and_, or_
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset

from bench.tables import columns as declared
from bench.tables.columns import COLUMNS
from bench.tables.contents import check_contents
from bench.tables.files import (
    MOMENT,
    TEXTS,
    first_line,
    require_known_schemas,
    require_plausible_rows,
    with_texts_of_times,
)
from bench.tables.kinds import kind_by_names, kinds_of_rows
from bench.tables.records import regular
from bench.tables.where import OPERATORS, Both, ColumnTest, Either, Filter, Negated, parse
from estimators.errors import BadInput, nearest

CODES = pa.dictionary(pa.int32(), pa.string())
TYPES = {"text": CODES, "integer": pa.int64(), "number": pa.float64(), "truth": pa.bool_()}
NOTHING = pc.scalar(False)

KIND_NEEDS = ("distribution", "objective")
"""The columns that give the kind of a problem where a file does not say it."""
ROWS_AT_ONCE = 2**19


def read_parts(
    paths: Sequence[Path],
    columns: Iterable[str] | None = None,
    where: str | None = None,
    metrics: Iterable[str] | None = None,
) -> pd.DataFrame:
    """Reads the chosen columns and rows of Parquet files that together are one table.

    Args:
        paths: The files, in the order of their rows.
        columns: Names of columns. Default: all.
        where: A filter of cells; see `bench.tables.where`.
        metrics: Reads only the rows of these metrics for the whole gradient, and rows without a metric. Default: all.

    Returns:
        The rows in the order of the files; texts are categories.

    Raises:
        BadInput: A file is not a table of gradest, or there is no such column.
    """
    with _said_of(paths[0]):
        reading = _Reading.of(paths, columns, where, metrics)
        return reading.frame(reading.parts.to_table(columns=reading.there, filter=reading.chosen))


def read_batches(
    paths: Sequence[Path], columns: Iterable[str], where: str | None, metrics: Iterable[str]
) -> Iterator[pd.DataFrame]:
    """The rows that `read_parts` returns, in chunks of at most `ROWS_AT_ONCE`; one empty chunk if there are none."""
    with _said_of(paths[0]):
        reading, empty = _Reading.of(paths, columns, where, metrics), True
        for batch in reading.parts.to_batches(
            columns=reading.there,
            filter=reading.chosen,
            batch_size=ROWS_AT_ONCE,
            batch_readahead=1,
            fragment_readahead=1,
        ):
            if len(batch):
                empty = False
                yield reading.frame(pa.Table.from_batches([batch]))
        if empty:
            yield reading.frame(reading.parts.schema.empty_table().select(reading.there))


@contextmanager
def _said_of(path: Path) -> Iterator[None]:
    """Turns an error of reading into a sentence about the file."""
    try:
        yield
    except (OSError, ValueError, TypeError, pa.ArrowException) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{path} is not a table of gradest: {first_line(error)}") from None


@dataclass(frozen=True)
class _Reading:
    """What is read: `asked` columns, of which `there` are in the files, of the rows that are `chosen`."""

    path: Path
    parts: pyarrow.dataset.Dataset
    asked: list[str]
    there: list[str]
    chosen: pc.Expression | None

    @classmethod
    def of(
        cls, paths: Sequence[Path], columns: Iterable[str] | None, where: str | None, metrics: Iterable[str] | None
    ) -> "_Reading":
        for path in paths:
            require_plausible_rows(path)
        asked, parts = known_columns(COLUMNS if columns is None else columns), open_files(paths)
        later = _later_columns(parts, paths[0])
        rules = [expression(parse(where), later, cache(partial(_distinct, parts)))] if where else []
        rules += [_of_metrics(metrics)] if metrics is not None else []
        needed = [*asked, *(KIND_NEEDS if "kind" in asked else ())]
        there = [name for name in dict.fromkeys(needed) if name not in later]
        return cls(paths[0], parts, asked, there, reduce(and_, rules) if rules else None)

    def frame(self, content: pa.Table) -> pd.DataFrame:
        """The content of the files with the columns asked for, as pandas types; texts are categories."""
        every = list(dict.fromkeys([*self.there, *self.asked]))
        for name in every:
            if name not in self.there:
                content = content.append_column(name, pa.nulls(len(content), TYPES[COLUMNS[name].kind]))
        if "cell" in self.there:
            place = content.schema.get_field_index("cell")
            content = content.set_column(place, "cell", content["cell"].cast(pa.string()).dictionary_encode())
        content = (
            with_texts_of_times(content)
            .select(every)
            .cast(pa.schema([(name, TYPES[COLUMNS[name].kind]) for name in every]))
        )
        found = content.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get, split_blocks=True, self_destruct=True)
        if "kind" in self.asked:
            found["kind"] = kinds_of_rows(found).astype("category")
        return check_contents(found[self.asked], str(self.path), "row read")


def _of_metrics(metrics: Iterable[str]) -> pc.Expression:
    whole = pc.field("metric").isin(pa.array(list(metrics), pa.string())) & (pc.field("block") == "all")
    return whole | pc.field("metric").is_null()


def open_files(paths: Sequence[Path]) -> pyarrow.dataset.Dataset:
    """Opens Parquet files as one table, whose texts are codes of a dictionary, except ids of cells.

    A dictionary of ids holds those of all cells, also where few of them are chosen.
    """
    columns = [name for name in TEXTS if name != "cell"]
    texts, files = pyarrow.dataset.ParquetFileFormat(dictionary_columns=columns), [str(regular(path)) for path in paths]
    parts = pyarrow.dataset.dataset(files, format=texts)
    every = [each.physical_schema for each in parts.get_fragments()]
    if len({each.field("created").type for each in every if "created" in each.names}) > 1:  # in older files a text
        place = parts.schema.get_field_index("created")
        parts = pyarrow.dataset.dataset(files, parts.schema.set(place, pa.field("created", MOMENT)), texts)
    return parts


def known_columns(columns: Iterable[str]) -> list[str]:
    """The columns asked for, each once. Raises BadInput for a name that is not a column of the table."""
    asked = [columns] if isinstance(columns, str) else list(dict.fromkeys(columns))
    for name in asked:
        if name not in COLUMNS:
            raise BadInput(f"there is no column {name!r}; {nearest(str(name), COLUMNS)}")
    return asked


def as_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its texts as categories."""
    return frame.astype({name: "category" for name in TEXTS if name in frame})


def expression(chosen: Filter, later: Iterable[str], distinct: Callable[[str], Iterable[str]]) -> pc.Expression:
    """A filter as an expression of pyarrow, which skips the parts of a file that cannot match.

    `later`: columns that the files lack, all null. `distinct`: given a column, returns its different texts.
    """
    if isinstance(chosen, Negated):
        return ~expression(chosen.part, later, distinct)
    if isinstance(chosen, Both | Either):
        join = and_ if isinstance(chosen, Both) else or_
        return reduce(join, (expression(part, later, distinct) for part in chosen.parts))
    if not isinstance(chosen, ColumnTest):
        raise TypeError(f"unknown filter {chosen!r}")
    (column,) = chosen.columns()
    if column == "kind" and column in later:
        return _kind(chosen, distinct)
    if column in later:
        return NOTHING
    return _setting(chosen, column, distinct) if column != chosen.name else _compared(chosen)


def _compared(chosen: ColumnTest) -> pc.Expression:
    """A comparison with a column: false for null and for a value of the other type, as in `Filter`."""
    if (COLUMNS[chosen.name].kind == "text") != isinstance(chosen.value, str):
        return NOTHING
    column = pc.field(chosen.name)
    value = float(chosen.value) if isinstance(chosen.value, bool) else chosen.value
    return column.is_valid() & OPERATORS[chosen.sign](column, value)


def _setting(chosen: ColumnTest, column: str, distinct: Callable[[str], Iterable[str]]) -> pc.Expression:
    """A comparison with a setting: the texts of settings for which it is true."""
    head = chosen.name.partition(".")[0]
    fits = [text for text in distinct(column) if chosen({f"{head}.{k}": v for k, v in json.loads(text).items()})]
    return _among(column, fits)


def _kind(chosen: ColumnTest, distinct: Callable[[str], Iterable[str]]) -> pc.Expression:
    """A comparison with the kind of problem in files that lack the column: the pairs of names for which it is true."""
    found = NOTHING
    for family in distinct("distribution"):
        fits = [name for name in distinct("objective") if chosen({"kind": kind_by_names(family, name)})]
        found |= (pc.field("distribution") == family) & _among("objective", fits)
    return found


def _among(column: str, texts: Sequence[str]) -> pc.Expression:
    return pc.field(column).is_valid() & pc.field(column).isin(pa.array(texts, pa.string())) if texts else NOTHING


def _distinct(parts: pyarrow.dataset.Dataset, column: str) -> set[str]:
    """The different texts of a column, read a batch at a time."""
    found: set[str] = set()
    for batch in parts.to_batches(columns=[column]):
        found.update(batch.column(0).dictionary.to_pylist())
    return found - {None, ""}


def _later_columns(parts: pyarrow.dataset.Dataset, path: Path) -> set[str]:
    """The columns that the files of an earlier schema lack. Raises BadInput for other files."""
    absent = {name for name in COLUMNS if name not in parts.schema.names}
    newest = 0 if "schema" in absent else max(_schemas(parts, path), default=declared.SCHEMA)
    wrong = [name for name in COLUMNS if name in absent and (name == "schema" or COLUMNS[name].since <= newest)]
    if wrong:
        raise BadInput(f"{path} is not a table of gradest: it has no column {wrong[0]!r}")
    return absent


def _schemas(parts: pyarrow.dataset.Dataset, path: Path) -> set[int]:
    """The schemas in the files. Raises BadInput for one that this version does not read."""
    found: set[int | None] = set()
    for batch in parts.to_batches(columns=["schema"]):
        found.update(batch.column(0).unique().to_pylist())
    known = {number for number in found if number is not None}
    require_known_schemas(known, path)
    return known
