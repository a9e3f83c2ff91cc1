"""A cell's id, and with it its seeds and its number, outlives changes of the table and of the settings.

`reference_ids.txt` holds the ids of results/reference as they were in November 2026, one per cell; it is never renewed.
A cell that is measured otherwise on purpose raises its version and is named in `reference_ids_changed.txt`, its old id
and its new one. The reason for those so far: larger budgets of quick (December 2026).
"""

from dataclasses import dataclass, field, make_dataclass, replace
from pathlib import Path

import bench.suites.cell
import bench.sweeps.cell_record
import bench.tables.columns
from bench import load_suite
from bench.plugins.settings import LATER, identifying
from bench.suites.grid import suite_cells
from tests.support.sweeps import small_cells

HELD = (Path(__file__).parent / "reference_ids.txt").read_text(encoding="utf-8").split()
LINES = (Path(__file__).parent / "reference_ids_changed.txt").read_text(encoding="utf-8").splitlines()
CHANGED = dict(line.split() for line in LINES)
"""Ids that are gone, and the ids in their place."""


def test_the_ids_of_the_reference_table_stay():
    planned = {cell.id for cell in suite_cells(load_suite("quick"))}
    assert len(HELD) == 760
    assert not CHANGED.keys() - set(HELD)
    assert not {CHANGED.get(each, each) for each in HELD} - planned, (
        "these cells would draw other numbers than the committed ones"
    )


def test_the_schema_is_no_part_of_an_id(monkeypatch):
    cell = small_cells()[0]
    monkeypatch.setattr(bench.tables.columns, "SCHEMA", 99)
    monkeypatch.setattr(bench.sweeps.cell_record, "SCHEMA", 99)
    assert replace(cell).id == cell.id


def test_a_setting_added_later_is_part_of_an_id_only_beside_its_default():
    @dataclass(frozen=True)
    class Before:
        first: float = 0.5

    After = make_dataclass(
        "After", [("second", int | None, field(default=None, metadata=LATER))], bases=(Before,), frozen=True
    )
    assert identifying(After()) == identifying(Before())
    assert identifying(After(second=3)) == {"first": 0.5, "second": 3}


def test_every_other_setting_is_part_of_an_id():
    cell = small_cells()[0]
    for name in bench.suites.cell.IDENTITY:
        value = getattr(cell, name)
        other = not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else f"{value} "
        if name == "device":
            other = "cuda:1"
        assert replace(cell, **{name: other}).id != cell.id, name
