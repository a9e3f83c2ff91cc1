"""What other programs read in the files of a run: types, units and sentences in Parquet; texts in CSV (C21)."""

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from bench.tables.columns import COLUMNS
from bench.tables.files import ARROW_SCHEMA, read_table, write_csv, write_parquet
from bench.tables.folder import load
from bench.tables.long import long_rows
from estimators.errors import BadInput
from tests.support.sweeps import finished, small_cells

PANDAS = {"text": "str", "integer": "Int64", "number": "float64", "truth": "bool"}


@pytest.fixture
def table():
    """Of four cells, one without a count."""
    made = [finished(cell, variance=2.0, evaluations=3.0) | {"env": "here", "attempt": 1} for cell in small_cells()]
    made[1]["replicates"] = None
    return long_rows("run", made)


def test_parquet_holds_counts_texts_and_times_as_such(tmp_path, table):
    """Counts with a null stay whole numbers."""
    write_parquet(table, tmp_path / "table.parquet")
    found = pd.read_parquet(tmp_path / "table.parquet")
    types = {name: PANDAS[column.kind] for name, column in COLUMNS.items()}
    assert {name: str(dtype) for name, dtype in found.dtypes.items()} == types | {"created": "datetime64[ms, UTC]"}
    assert [*found["replicates"].isna()].count(True) == 3 and set(found["problem_version"]) == {"1.1"}
    pd.testing.assert_frame_equal(read_table(tmp_path / "table.parquet"), table)


def test_parquet_says_what_each_column_is_and_its_unit(tmp_path, table):
    write_parquet(table, tmp_path / "table.parquet")
    for field in pyarrow.parquet.read_schema(tmp_path / "table.parquet"):
        column = COLUMNS[field.name]
        assert field.metadata[b"description"].decode() == column.sentence
        assert (b"unit" in field.metadata) == (column.kind in ("integer", "number")), field.name
    assert (COLUMNS["wall_s"].unit, COLUMNS["samples"].unit) == ("s", "1")


def test_a_time_that_is_none_is_not_written(tmp_path, table):
    with pytest.raises(BadInput, match=r"cannot write .*table\.parquet: column created: .*yesterday"):
        write_parquet(table.assign(created="yesterday"), tmp_path / "table.parquet")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("names", [("1", "2"), ("2", "1")])
def test_parts_with_times_as_texts_and_as_times_are_one_table(tmp_path, table, names):
    """Earlier versions wrote texts."""
    older = pa.Table.from_pandas(table, ARROW_SCHEMA, preserve_index=False)
    pyarrow.parquet.write_table(older, tmp_path / f"{names[0]}.parquet")
    write_parquet(table, tmp_path / f"{names[1]}.parquet")
    pd.testing.assert_frame_equal(load(tmp_path), pd.concat([table, table], ignore_index=True))
    some = load(tmp_path, columns=["created", "cell"], where="samples >= 2")
    assert len(some) == 2 * len(table) and set(some["created"]) == set(table["created"])


WORDS = (
    "1.1",
    "007",
    "1e5",
    ".5",
    "nan",
    "NA",
    "None",
    "null",
    "TRUE",
    "inf",
    "'1",
    "1.1\n",
    "1.1.1",
    "x1",
    "12 %",
    "",
)
"""Texts, most of which look like something else."""


def test_a_text_that_looks_like_a_number_or_like_nothing_is_read_as_text(tmp_path, table):
    """By pandas and Arrow, which guess; and the table that gradest reads is the one that it wrote."""
    whole = pd.concat([table] * 2, ignore_index=True).head(len(WORDS)).assign(reason=WORDS, point=WORDS)
    write_csv(whole, tmp_path / "table.csv")
    pd.testing.assert_frame_equal(read_table(tmp_path / "table.csv"), whole)
    for word in filter(None, WORDS):
        write_csv(table.assign(point=word), tmp_path / "table.csv")
        guessed = pd.read_csv(tmp_path / "table.csv")["point"], pyarrow.csv.read_csv(tmp_path / "table.csv")["point"]
        assert {type(each) for found in guessed for each in found.to_numpy().tolist()} == {str}, word
    assert str(pd.read_csv(tmp_path / "table.csv")["problem_version"].dtype) == "str"


def test_hashes_are_written_as_they_are(tmp_path, table):
    """They name cells in other tables."""
    write_csv(table.assign(cell="1234567890123456"), tmp_path / "table.csv")
    assert ',"1234567890123456",' in (tmp_path / "table.csv").read_text()
