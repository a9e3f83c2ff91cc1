"""Splits a sweep into shards by the cell's id, and merges the folders of shards into one."""

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.suites.cell import Cell
from bench.suites.suite import load_suite
from bench.tables import records as record_files
from bench.tables.columns import SCHEMA
from bench.tables.folder import Plan, Store, last_shard, planned
from bench.tables.records import Key, Record, Records
from bench.tables.results import run_folder
from estimators.errors import BadInput


def sharded(every: list[Cell], shard: str | None) -> list[Cell]:
    """The cells of shard `i/n`, with i from 1. A cell's shard depends only on its id.

    Raises BadInput if `shard` is malformed.
    """
    belongs = _belongs(shard)
    return [cell for cell in every if belongs(cell.id)]


def own_plan(folder: Path) -> Plan | None:
    """The part of a folder's plan that is measured in this folder: all cells, or those of its shard."""
    whole, belongs = planned(folder), _belongs(last_shard(folder))
    return whole and {cell: tasks for cell, tasks in whole.items() if belongs(cell)}


def _belongs(shard: str | None) -> Callable[[str], bool]:
    """Returns a predicate on cell ids: whether a cell belongs to the shard."""
    if shard is None:
        return lambda cell: True
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", shard)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise BadInput(f"--shard {shard!r} is not understood; write 1/4 for the first of four")
    index, count = int(found[1]) - 1, int(found[2])
    return lambda cell: int(cell, 16) % count == index


def collect(folders: Sequence[str | Path], out: str | Path) -> Path:
    """Merges the folders of a sweep's shards into one folder.

    If several folders have a record of the same cell, one that was measured counts before one that failed, and among
    these the latest counts, whatever the order of the folders. Records are never duplicated.

    Args:
        folders: Folders of the shards.
        out: Folder for the whole sweep.

    Returns:
        The folder `out`.

    Raises:
        BadInput: A folder has no run, the folders (or what is in `out` already) have different suites, seeds or
            versions, or two records of a cell have the same time and other values.
    """
    sources, out = [run_folder(folder) for folder in folders], Path(out)
    whole, config = _whole(sources[0]), load_suite(sources[0] / "config.toml").model_dump()
    there = [out] if (out / "plan.json").exists() else []
    for folder in [*sources[1:], *there]:
        if [*_whole(folder).items()] != [*whole.items()]:
            raise BadInput(
                f"{folder} holds another suite, seed or version than {sources[0]}: their plans differ; collect each "
                "sweep into its own folder"
            )
    with Store(out) as store:
        have = store.read()
        found = {folder: record_files.read_records(folder, SCHEMA) for folder in sources}
        best = _best({out: have, **found})
        store.begin(config, whole)
        last = have.latest()
        for folder in sources:
            new = [line for line, home in best.values() if home == folder and not _same(last.get(_key(line)), line)]
            store.take(new, folder)
        store.finish()
    for note in (note for each in found.values() for note in each.notes):
        warnings.warn(note, stacklevel=2)
    return out


def _best(found: Mapping[Path, Records]) -> dict[Key, tuple[Record, Path]]:
    """The record of each cell and task that counts, and its folder; raises BadInput if two have equal rights."""
    best: dict[Key, tuple[Record, Path]] = {}
    for folder, records in found.items():
        for line in records.lines:
            other, home = best.get(_key(line), (None, folder))
            if other is None or _rank(line) > _rank(other):
                best[_key(line)] = (line, folder)
            elif _rank(line) == _rank(other) and not _same(other, line):
                raise BadInput(
                    f"{home} and {folder} have different records of cell {line['cell']} ({line['task']}) of the same "
                    f"time, {line['created']}: collect without one of them"
                )
    return best


def _key(line: Record) -> Key:
    return line["cell"], line["task"]


def _rank(line: Record) -> tuple[bool, datetime]:
    """A record that was measured counts more than one that failed, a later one more than an earlier one."""
    try:
        created = datetime.fromisoformat(line["created"])
    except ValueError:
        raise BadInput(f"the record of cell {line['cell']} has a time that is none: {line['created']!r}") from None
    return line["status"] in ("ok", "not_applicable"), created if created.tzinfo else created.replace(tzinfo=UTC)


def _same(one: Record | None, other: Record) -> bool:
    return one is not None and {**one, "attempt": 0} == {**other, "attempt": 0}


def _whole(folder: Path) -> Plan:
    """The plan of the whole sweep, from the folder of a shard."""
    found = planned(folder)
    if found is None:
        raise BadInput(f"{folder} holds no run of gradest: it has no plan.json")
    return found
