"""A part of a table is what a filter of the whole table gives, and the cells of any number of chunks are the same."""

# pyright: reportArgumentType=false, reportGeneralTypeIssues=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from pathlib import Path

import pandas as pd
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.tables import parts
from bench.tables.cells import read_cells
from bench.tables.columns import COLUMNS
from bench.tables.folder import load
from bench.tables.where import FILTER_NAMES, select
from bench.tables.wide import wide_table
from estimators.errors import BadInput

COMMITTED = Path("results/reference/results.parquet")


@pytest.fixture(scope="module")
def whole() -> pd.DataFrame:
    return load(COMMITTED)


@pytest.fixture(scope="module")
def cells_of_whole(whole) -> pd.DataFrame:
    return wide_table(whole)


@pytest.fixture(scope="module")
def split(tmp_path_factory, whole) -> Path:
    """The committed table as a folder of three files, cut inside a cell."""
    folder = tmp_path_factory.mktemp("parts")
    content = parts.open_files([COMMITTED]).to_table().unify_dictionaries()
    for number, (start, end) in enumerate([(0, 4001), (4001, 9003), (9003, len(content))]):
        rows = content.slice(start, end - start)
        pyarrow.parquet.write_table(rows, folder / f"{number}.parquet", row_group_size=2501)
    return folder


def _texts(frame: pd.DataFrame) -> pd.DataFrame:
    """Without categories, so that two frames can be compared."""
    return frame.astype({name: "str" for name, kind in frame.dtypes.items() if kind == "category"}).reset_index(
        drop=True
    )


def _same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(_texts(found), expected.reset_index(drop=True), check_dtype=False)


VALUES = st.one_of(
    st.sampled_from(['"rloo"', '"bernoulli"', '"nothing"', "'start'", '"2"', "true"]),
    st.integers(-1, 250).map(str),
    st.floats(0, 1, allow_nan=False).map(str),
)
NAMES = st.sampled_from([*FILTER_NAMES, "estimator.temperature", "estimator.inner", "distribution.size", "objective.t"])
SIGNS = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
COMPARISONS = st.one_of(
    st.tuples(NAMES, SIGNS, VALUES).map(" ".join),
    st.tuples(NAMES, st.lists(VALUES, min_size=1, max_size=3)).map(lambda two: f"{two[0]} in [{', '.join(two[1])}]"),
)
FILTERS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        inner.map("not ({})".format),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda three: "({}) {} ({})".format(*three)),
    ),
    max_leaves=5,
)


@settings(max_examples=30, deadline=None)
@given(text=FILTERS)
def test_a_part_is_what_a_filter_of_the_whole_gives(whole, text):
    columns = ["cell", "metric", "value", "samples", "forced"]
    _same(load(COMMITTED, columns=columns, where=text), select(whole, text)[columns])


def test_columns_come_in_the_order_asked_for_with_texts_as_categories(whole):
    found = load(COMMITTED, columns=["value", "estimator", "samples"])
    assert list(found) == ["value", "estimator", "samples"]
    assert found["estimator"].dtype == "category"
    assert found["samples"].dtype == whole["samples"].dtype
    _same(found, whole[["value", "estimator", "samples"]])


def test_a_folder_of_files_is_one_table(split, whole):
    _same(load(split), whole)
    _same(load(split, where="samples == 4"), select(whole, "samples == 4"))


def test_a_table_in_memory_and_csv_give_the_same_part(tmp_path, whole):
    expected = load(COMMITTED, columns=["cell", "status"], where="samples == 4")
    _same(load(whole, columns=["cell", "status"], where="samples == 4"), _texts(expected))


@pytest.mark.parametrize("rows", [4001, 2**19])
def test_cells_do_not_depend_on_the_chunks(monkeypatch, split, cells_of_whole, rows):
    monkeypatch.setattr(parts, "ROWS_AT_ONCE", rows)
    expected = cells_of_whole
    for path in (COMMITTED, split):
        found = read_cells(path, batches=True)
        shared = [name for name in expected if name in found and name not in ("visits", "batch")]
        _same(found[shared], expected[shared])
    assert len([name for name in expected if name not in found]) <= 12


def test_cells_whose_rows_stand_apart_are_found_once(tmp_path, whole):
    mixed = whole.sample(frac=1, random_state=0)
    path = tmp_path / "mixed.parquet"
    mixed.to_parquet(path, index=False)
    found = read_cells(path, metrics=["variance"]).set_index("cell")
    expected = wide_table(whole).set_index("cell")
    assert found["variance"].reindex(expected.index).equals(expected["variance"])


def test_files_of_an_earlier_schema_have_null_in_later_columns(tmp_path, whole):
    older = whole.drop(columns=["direction", "rarest_event"]).assign(schema=1)
    later = [name for name, column in COLUMNS.items() if column.since > 1]
    older = older.drop(columns=[name for name in later if name in older])
    older.to_parquet(tmp_path / "older.parquet", index=False)
    found = load(tmp_path / "older.parquet", columns=["cell", "direction"], where="samples == 4")
    assert found["direction"].isna().all()
    assert len(found) == len(select(whole, "samples == 4"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.drop(columns="value"), "no column 'value'"),
        (lambda table: table.assign(schema=99), "its schema is 99"),
        (lambda table: table.assign(value="many"), "is not a table of gradest"),
    ],
)
def test_other_files_are_refused_in_a_sentence(tmp_path, whole, change, said):
    path = tmp_path / "other.parquet"
    change(whole).to_parquet(path, index=False)
    with pytest.raises(BadInput, match=said):
        load(path, where="samples == 4")


def test_a_misspelt_column_is_named():
    with pytest.raises(BadInput, match="there is no column 'valeu'; did you mean 'value'"):
        load(COMMITTED, columns=["valeu"])


def test_no_row_is_a_sentence():
    with pytest.raises(BadInput, match="selects no row"):
        read_cells(COMMITTED, where="samples == 77")
