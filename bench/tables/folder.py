"""The folder of a run: one process at a time writes to it; records are appended and synced, the table comes last."""

import errno
import json
import os
import re
import shutil
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast, get_args

import pandas as pd

from bench.provenance.identity import canonical, json_digest, parsed_json
from bench.provenance.machine import machine_environment
from bench.system.optional import lock_file
from bench.tables import files as formats
from bench.tables import parts
from bench.tables import records as record_files
from bench.tables.columns import COLUMNS, SCHEMA
from bench.tables.long import long_rows, typed
from bench.tables.records import Key, Records, Task, no_garbage_collection, sealed
from bench.tables.results import results_path
from bench.tables.toml import dumps
from bench.tables.where import select
from bench.tables.writing import appending, replace, replace_text
from estimators.errors import BadInput
from estimators.text import visible

Plan = dict[str, list[Task]]
"""The tasks of each cell, by cell id, in the order of the suite."""
FOREVER = 1e12
"""Seconds that no run takes."""
CELL_ID = re.compile("[0-9a-f]{1,32}")
EARLIER = "earlier.parquet"
"""The table of a folder that had no records when a run began in it."""


class Store:
    """Writes to the folder of a run; `with Store(folder) as store:` holds the folder's lock.

    Raises BadInput if another run holds the lock or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._records: IO[bytes] | None = None
        self._environments: set[str] = set()
        self._lock: IO[bytes] | None = None

    def __enter__(self) -> "Store":
        if visible(str(self.folder)) != str(self.folder):
            raise BadInput(f"the name of the folder {self.folder} has characters that do not print; choose another")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = appending(self.folder / ".lock")
        except OSError as error:
            raise BadInput(f"cannot write to the folder {self.folder}: {error.strerror}") from None
        if not lock_file(self._lock, wait=False):
            self._lock.close()
            raise BadInput(f"another run is writing to {self.folder}; wait for it, or choose another --out") from None
        self._environments = {found["env"] for found in environments(self.folder)}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for file in (self._records, self._lock):
            if file is not None:
                file.close()

    def read(self) -> Records:
        """The records in the folder. Incomplete last lines, left by a killed process, are cut off and noted."""
        found = record_files.read_records(self.folder, SCHEMA)
        for path in [*record_files.files(self.folder), *self.folder.glob("environments.jsonl")]:
            whole, torn = record_files.split(path)
            with _writing(path):
                if torn:
                    with appending(path) as file:
                        os.ftruncate(file.fileno(), len(whole))
        return found

    def begin(self, config: Mapping[str, Any], plan: Plan, shard: str | None = None) -> None:
        """Writes the resolved suite, its plan, and the shard of the plan that is to be measured.

        A folder with a table but without records, as it is committed, keeps the table's rows of all planned cells that
        are not measured here.
        """
        ready = self.folder / "results.parquet"
        if ready.is_file() and not record_files.files(self.folder):
            replace(self.folder / EARLIER, lambda new: shutil.copyfile(ready, new))
        replace_text(self.folder / "config.toml", dumps(config))
        cells = [[*each] for each in plan.items()]
        replace_text(self.folder / "plan.json", canonical({"schema": SCHEMA, "shard": shard, "cells": cells}))

    def append(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Appends records and syncs them to disk; lines that cannot be written completely are removed again.

        A record without `env` was measured on this machine.
        """
        here = self.note_environment(machine_environment())
        lines = [sealed({"env": here, **record}) for record in records]
        if lines:
            self._write(lines)

    def take(self, records: Iterable[Mapping[str, Any]], folder: Path) -> None:
        """Appends records from another folder of the same sweep, together with their environments."""
        for found in environments(folder):
            self.note_environment({key: value for key, value in found.items() if key != "env"})
        lines = [sealed(record) for record in records]
        if lines:
            self._write(lines)

    def say(self, progress: Mapping[str, Any]) -> None:
        """Writes the progress to `progress.json`; errors such as a full disk or an infinite time are ignored."""
        with suppress(ValueError):  # BadInput is one
            replace_text(self.folder / "progress.json", canonical({**progress, "said": _now()}))

    def log(self, *lines: str) -> None:
        """Appends lines to `run.log`, with the time. For people only; errors such as a full disk are ignored."""
        now = _now()
        with suppress(OSError), appending(self.folder / "run.log") as file:
            file.write("".join(f"{now} {visible(line)}\n" for line in lines).encode())

    def _write(self, lines: list[str]) -> None:
        path = self.folder / "records-0.jsonl"
        with _writing(path):
            if self._records is None:
                self._records = appending(path)
            _append(self._records, "".join(f"{line}\n" for line in lines))
            here = os.fstat(self._records.fileno())
        if not path.exists() or not os.path.samestat(path.stat(), here):
            raise BadInput(f"the folder {self.folder} was moved or removed while the run was writing to it")

    def note_environment(self, found: Mapping[str, Any]) -> str:
        """Returns the key of an environment, and adds its line to `environments.jsonl` if it is new."""
        key = json_digest(found)
        if key not in self._environments:
            path = self.folder / "environments.jsonl"
            with _writing(path), appending(path) as file:
                _append(file, canonical({"env": key, **found}) + "\n")
            self._environments.add(key)
        return key

    def finish(self) -> set[Key]:
        """Writes `results.parquet` and `results.csv`; returns the cells and tasks that have a record on disk."""
        made_from = _state(self.folder)
        found = record_files.read_records(self.folder, SCHEMA)
        frame = _table(self.folder, found)
        formats.write_parquet(frame, self.folder / "results.parquet", made_from)
        formats.write_csv(frame, self.folder / "results.csv")
        return {(line["cell"], line["task"]) for line in found.lines}


def load(
    results: str | Path | pd.DataFrame, *, columns: Iterable[str] | None = None, where: str | None = None
) -> pd.DataFrame:
    """Reads the table of a run: one row per cell and metric. Warns about incomplete or outdated records.

    With `columns` or `where`, only these columns and rows reach memory, so that a part of a table of any size can be
    read; texts are then categories.

    Args:
        results: Name of a suite that was run (results/<name>), folder of a run, Parquet or CSV file, folder of Parquet
            files that together are one table, or a table, which is returned unchanged without `columns` and `where`.
        columns: Names of the columns to read. Default: all.
        where: Reads only the rows of these cells, e.g. 'samples >= 4'.

    Returns:
        The long table; results/README.md describes its columns.

    Raises:
        BadInput: There is no such run or column, or the file is not a table of gradest.
    """
    if columns is None and not where:
        return _whole_table(results)
    files = [] if isinstance(results, pd.DataFrame) else table_files(results)
    if files and all(file.suffix == ".parquet" for file in files):
        return parts.read_parts(files, columns, where)
    asked = parts.known_columns(COLUMNS if columns is None else columns)
    found = select(_whole_table(results), where)
    return parts.as_categories(pd.DataFrame(found[[name for name in asked if name in found]]))


def _whole_table(results: str | Path | pd.DataFrame) -> pd.DataFrame:
    """Reads all columns and rows, with texts as texts."""
    if isinstance(results, pd.DataFrame):
        return results
    ready = table_files(results)
    if len(ready) == 1:
        return formats.read_table(ready[0])
    if ready:
        return typed(parts.read_parts(ready))
    folder = results_path(results)
    with no_garbage_collection():
        found = record_files.read_records(folder, SCHEMA)
        frame = _table(folder, found)
    for note in found.notes:
        warnings.warn(note, stacklevel=3)
    return frame


def table_files(results: str | Path) -> list[Path]:
    """The files that hold a run's table; empty if it must be made from the records. Raises BadInput without either."""
    path = results_path(results)
    if path.is_file():
        return [path]
    ready = path / "results.parquet"
    if record_files.files(path):
        return [ready] if formats.made_from(ready) == _state(path) else []
    for table in (ready, path / "results.csv"):
        if table.is_file():
            return [table]
    several = sorted(path.glob("*.parquet"))
    if not several:
        raise BadInput(f"{path} holds no records of gradest; `gradest run SUITE --out {path}` creates them")
    return several


@no_garbage_collection()
def planned(folder: Path) -> Plan | None:
    """The plan of the folder's suite; None if no plan was written."""
    return _read(
        folder / "plan.json",
        lambda found: {_cell_id(cell): [_task(each) for each in tasks] for cell, tasks in found["cells"]},
    )


def _cell_id(word: object) -> str:
    """Returns a cell's id; raises ValueError if it cannot be one."""
    if not isinstance(word, str) or not CELL_ID.fullmatch(word):
        raise ValueError(f"{word!r} is not the id of a cell")
    return word


def _text(word: object) -> str:
    """Returns a text; raises ValueError for anything else."""
    if not isinstance(word, str):
        raise ValueError(f"{word!r} is not a text")
    return word


def _seconds(number: object) -> float:
    """Returns a number of seconds; raises ValueError if it cannot be one."""
    if not isinstance(number, int | float) or not 0 <= number < FOREVER:
        raise ValueError(f"{number!r} is not a number of seconds")
    return float(number)


def _task(word: object) -> Task:
    """Returns a task's name; raises ValueError if it is unknown, since the file may be damaged or foreign."""
    if word not in get_args(Task):
        raise ValueError(f"{word!r} is not a task")
    return cast(Task, word)


def last_shard(folder: Path) -> str | None:
    """The shard that the last run in this folder measured, such as 1/4; None for the whole suite."""
    return _read(folder / "plan.json", lambda found: None if found.get("shard") is None else _text(found["shard"]))


def stated_seconds_left(folder: Path) -> tuple[float, str] | None:
    """The run's last estimate of the seconds left, and the time of that estimate; None without one."""
    return _read(folder / "progress.json", lambda found: (_seconds(found["seconds_left"]), _text(found["said"])))


def planned_records(plan: Plan | None, latest: dict[Key, dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """The latest record of every planned cell and task, in the order of the plan."""
    if plan is None:
        return latest.values()
    return (latest[cell, task] for cell, tasks in plan.items() for task in tasks if (cell, task) in latest)


@no_garbage_collection()
def _table(folder: Path, found: Records) -> pd.DataFrame:
    plan = planned(folder)
    frame = long_rows(folder.resolve().name, planned_records(plan, found.latest()))
    return with_earlier_cells(frame, folder, plan, {line["cell"] for line in found.lines})


def with_earlier_cells(frame: pd.DataFrame, folder: Path, plan: Plan | None, recorded: set[str]) -> pd.DataFrame:
    """Returns the table with the rows that `EARLIER` has of planned cells without any record, in plan order."""
    ready = folder / EARLIER
    if plan is None or not ready.is_file():
        return frame
    try:
        earlier = formats.read_table(ready)
    except BadInput:  # damaged, or of another version: all its cells are to be measured
        return frame
    earlier = earlier[[cell in plan and cell not in recorded for cell in earlier["cell"]]]
    if earlier.empty:
        return frame
    rank = {cell: number for number, cell in enumerate(plan)}
    both = pd.concat([frame, earlier], ignore_index=True) if len(frame) else earlier
    order = sorted(range(len(both)), key=[rank[cell] for cell in both["cell"]].__getitem__)
    return both.iloc[order].reset_index(drop=True)


def _state(folder: Path) -> str:
    """A digest that changes whenever the records or the plan change."""
    files = [*record_files.files(folder), folder / "plan.json"]
    return json_digest([[path.name, _checksum(path)] for path in files] + [SCHEMA])


def _checksum(path: Path) -> list[int]:
    """The length and the checksum of a file; zeros if there is none."""
    length = checksum = 0
    with suppress(OSError), record_files.regular(path).open("rb") as file:
        while piece := file.read(2**20):
            length, checksum = length + len(piece), zlib.crc32(piece, checksum)
    return [length, checksum]


def environments(folder: Path) -> list[dict[str, Any]]:
    """The environments in `environments.jsonl`; an incomplete last line is left out."""
    path = folder / "environments.jsonl"
    whole, _ = record_files.split(path) if path.exists() else (b"", b"")
    found = []
    for line in whole.splitlines():
        try:
            read = parsed_json(line)
            found.append({"env": _text(read["env"]), **read})
        except (ValueError, KeyError, TypeError):
            raise BadInput(f"{path} is not a file of gradest") from None
    return found


def _read(path: Path, get: Callable[[dict[str, Any]], Any]) -> Any:
    """Applies `get` to the content of a JSON file; None if there is no such file."""
    try:
        return get(json.loads(record_files.regular(path).read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadInput(f"{path} is not a file of gradest; `gradest run` writes it again") from None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turns the system's errors inside into a sentence: a full disk, a folder that is gone, no more descriptors."""
    try:
        yield
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror}; earlier results are saved") from None


def _append(file: IO[bytes], text: str) -> None:
    """Appends complete lines and syncs them; on an error such as a full disk, removes the part that was written."""
    end = file.seek(0, os.SEEK_END)
    line = text.encode()
    try:
        if file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file.fileno())
    except OSError:
        os.ftruncate(file.fileno(), end)
        raise
