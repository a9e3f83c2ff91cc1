"""Shards merged into one folder: which record of a cell counts, and what is refused by name."""

from typing import Any

import pytest

from bench.sweeps.cell_record import ended, record
from bench.sweeps.shards import collect
from bench.tables.columns import SCHEMA
from bench.tables.folder import Store, load
from bench.tables.records import read_records
from estimators.errors import BadInput
from tests.support.sweeps import finished, small_cells, suite

EARLY, LATE = "2026-03-29T02:30:00+02:00", "2026-03-29T01:30:00+00:00"
"""Half an hour past midnight UTC, and an hour later: the later time is the smaller text."""


def folder(path, *lines, samples=(2, 4)):
    """The folder of a run with these records."""
    with Store(path) as store:
        cells = small_cells(samples=[*samples])
        store.begin(suite(samples=[*samples]).model_dump(), {cell.id: ["accuracy"] for cell in cells})
        store.append(lines)
    return path


def measured(value, created, status: Any = "ok"):
    cell = small_cells()[0]
    line = finished(cell, variance=value) if status == "ok" else record(cell, "accuracy", ended(status, "gone"), 1.0)
    return line | {"created": created}


def value(table):
    return table.loc[table["metric"] == "variance", "value"].tolist()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_latest_record_counts_whatever_the_order_of_the_folders(tmp_path, order):
    made = [folder(tmp_path / "9", measured(1.0, EARLY)), folder(tmp_path / "10", measured(2.0, LATE))]
    assert value(load(collect([made[each] for each in order], tmp_path / "all"))) == [2.0]
    assert value(load(collect([made[each] for each in order], tmp_path / "all"))) == [2.0]
    assert len(read_records(tmp_path / "all", SCHEMA).lines) == 1


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("status", ["crashed", "timeout", "failed"])
def test_what_was_measured_counts_before_what_failed_later(tmp_path, order, status):
    made = [folder(tmp_path / "ok", measured(1.0, EARLY)), folder(tmp_path / "bad", measured(0.0, LATE, status))]
    assert value(load(collect([made[each] for each in order], tmp_path / "all"))) == [1.0]


def test_a_better_record_replaces_what_was_collected(tmp_path):
    collect([folder(tmp_path / "bad", measured(0.0, LATE, "crashed"))], tmp_path / "all")
    assert value(load(collect([folder(tmp_path / "ok", measured(1.0, EARLY))], tmp_path / "all"))) == [1.0]


def test_two_records_of_one_time_with_other_values_are_refused_by_name(tmp_path):
    one, other = folder(tmp_path / "one", measured(1.0, LATE)), folder(tmp_path / "other", measured(2.0, LATE))
    with pytest.raises(
        BadInput, match=f"one and .*other have different records of cell {small_cells()[0].id} .accuracy"
    ):
        collect([one, other], tmp_path / "all")
    collect([one, one, folder(tmp_path / "copy", *read_records(one, 3).lines)], tmp_path / "all")


def test_another_sweeps_folder_is_refused_and_keeps_its_plan(tmp_path):
    """As a shard, and as the folder to write to."""
    one, other = folder(tmp_path / "one", measured(1.0, LATE)), folder(tmp_path / "other", samples=(2, 8))
    plan = (other / "plan.json").read_bytes()
    for shards, out in (([one, other], tmp_path / "all"), ([one], other)):
        with pytest.raises(BadInput, match=r"other holds another suite, seed or version than .*one"):
            collect(shards, out)
    assert (other / "plan.json").read_bytes() == plan
