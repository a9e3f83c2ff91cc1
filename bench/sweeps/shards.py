"""Splits a sweep into shards by the cell's id, and merges the folders of shards into one."""

import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.suites.cell import Cell
from bench.tables import records as record_files
from bench.tables.columns import SCHEMA
from bench.tables.folder import Plan, Store, last_shard, planned
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

    If several folders have a record of the same cell, the latest counts. Records are never duplicated.

    Args:
        folders: Folders of the shards.
        out: Folder for the whole sweep.

    Returns:
        The folder `out`.

    Raises:
        BadInput: A folder has no run, or the folders have different suites, seeds or versions.
    """
    sources = [run_folder(folder) for folder in folders]
    plans = [_whole(folder) for folder in sources]
    if any([*plan.items()] != [*plans[0].items()] for plan in plans):
        raise BadInput("the folders hold different suites, seeds or versions: their plans differ")
    with Store(Path(out)) as store:
        have = {(line["cell"], line["task"], line["created"]) for line in store.read().lines}
        store.begin(_config(sources[0]), plans[0])
        for folder in sources:
            lines = record_files.read_records(folder, SCHEMA).lines
            new = [line for line in lines if (line["cell"], line["task"], line["created"]) not in have]
            have |= {(line["cell"], line["task"], line["created"]) for line in new}
            store.take(new, folder)
        store.finish()
    return Path(out)


def _whole(folder: Path) -> Plan:
    """The plan of the whole sweep, from the folder of a shard."""
    found = planned(folder)
    if found is None:
        raise BadInput(f"{folder} holds no run of gradest: it has no plan.json")
    return found


def _config(folder: Path) -> dict[str, object]:
    try:
        return tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise BadInput(f"{folder / 'config.toml'} is not TOML") from None
