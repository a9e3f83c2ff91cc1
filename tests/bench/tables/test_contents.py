"""What tables hold is checked value by value: by row and column in a sentence."""

import json

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from bench.provenance.identity import canonical
from bench.tables.columns import SCHEMA
from bench.tables.contents import record_fault
from bench.tables.files import read_table, write_csv, write_parquet
from bench.tables.folder import load
from bench.tables.long import long_rows
from bench.tables.records import parsed
from estimators.errors import BadInput
from tests.support.sweeps import finished, small_cells

INFINITE, DEEP = float("inf"), '{"a":' + "[" * 3000 + "]" * 3000 + "}"
HOSTILE = [
    *(("estimator_params", text) for text in ("none", "[]", '{"a": NaN}', DEEP, "")),
    *(("objective_params", "{"), ("distribution_params", '{"size": 3}}')),
    *(("status", "fine"), ("status", None), ("verdict", "sure"), ("direction", "left"), ("created", "yesterday")),
    *(("metric", "varience"), ("metric", None), ("samples", 0), ("samples", None), ("dim", -1), ("wall_s", -0.5)),
    *(("value", -1.0), ("value", INFINITE), ("value", -INFINITE), ("ci_low", INFINITE), ("ci_low", 3.0), ("n", -3)),
]
"""Columns, and values that cannot be right in the row of a variance of 2."""
WRITE = {"csv": write_csv, "parquet": write_parquet}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The table that is spoiled below; as it is, it is read."""
    folder = tmp_path_factory.mktemp("good")
    table = long_rows("run", made_up())
    for kind, write in WRITE.items():
        write(table, folder / f"good.{kind}")
        read_table(folder / f"good.{kind}")
    return table


@pytest.fixture
def lines():
    return made_up()


def made_up():
    cells = small_cells()[:2]
    made = [finished(cell, variance=2.0) | {"env": "here", "attempt": 1} for cell in cells]
    for each in made:
        each["measurements"][0] |= {"ci_low": 1.0, "ci_high": 2.5}
    return made


@pytest.mark.parametrize("kind", WRITE)
@pytest.mark.parametrize(("column", "value"), HOSTILE)
def test_a_hostile_value_is_named_with_row_and_column(tmp_path, good, column, value, kind):
    table = good.copy()
    table.loc[1, column], write = value, WRITE[kind]
    if kind == "parquet":  # as another program writes it
        write = lambda table, path: pyarrow.parquet.write_table(pyarrow.Table.from_pandas(table), path)  # noqa: E731
    write(table, tmp_path / f"bad.{kind}")
    with pytest.raises(BadInput, match=rf"bad\.{kind} is not a table of gradest: row 2, column {column}: ") as refused:
        read_table(tmp_path / f"bad.{kind}")
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize(("column", "value"), HOSTILE)
def test_a_hostile_value_of_a_record_is_no_record(lines, column, value):
    line = lines[0]
    assert not record_fault(line)
    if column in line:
        line[column] = value
    else:
        line["measurements"][0][column] = value
    line.pop("attempt")
    with pytest.raises(BadInput, match="line 7 is not a record of gradest: "):
        parsed(json.dumps(line).encode(), SCHEMA, "line 7")


FORMULAS = ("=1+1", "+1", "-1", "@SUM(1)", "\t=1", "'=1", "''=1", "＝1", "'quoted'", "plain")


def test_a_spreadsheet_runs_nothing(tmp_path, lines):
    """Fault C11; and the table that is read is the one that was written."""
    table = pd.concat([long_rows("run", lines)] * 5, ignore_index=True).assign(reason=FORMULAS, env=FORMULAS)
    write_csv(table, tmp_path / "table.csv")
    pd.testing.assert_frame_equal(read_table(tmp_path / "table.csv"), table)
    shown = pyarrow.csv.read_csv(tmp_path / "table.csv")["reason"].to_pylist()
    assert not [text for text in shown if text.lstrip("'") != text.strip("'") or text[0] in "=+-@\t\r＝＋－＠"][2:]
    assert all(text[0] not in "=+-@\t\r＝＋－＠" for text in shown)


def test_a_table_that_pandas_wrote_again_is_the_same(tmp_path, lines):
    """Fault C10: integers with missing values become 8192.0, and an empty text an empty field."""
    table = long_rows("run", lines)
    table.loc[1, "replicates"] = pd.NA
    write_csv(table, tmp_path / "first.csv")
    pd.read_csv(tmp_path / "first.csv").to_csv(tmp_path / "again.csv", index=False)
    pd.testing.assert_frame_equal(read_table(tmp_path / "again.csv"), table)


def test_half_a_character_is_written_and_read_back():
    text = canonical({"kind": "half \ud800"})
    assert text.encode() and json.loads(text) == {"kind": "half \ud800"}


def test_a_small_file_with_very_many_rows_is_refused_before_they_fill_the_memory(tmp_path, lines):
    """A column that says the same a hundred million times takes a few bytes."""
    one = pa.Table.from_pandas(long_rows("run", lines[:1]).iloc[:1], preserve_index=False)
    columns = {name: pa.repeat(one[name][0], 2_000_000) for name in ("schema", "value")}
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "large.parquet")
    for read in (read_table, load_part):
        with pytest.raises(BadInput, match=r"it states 2000000 rows in [0-9]+ bytes"):
            read(tmp_path / "large.parquet")


def load_part(path):
    return load(path, columns=["value"])
