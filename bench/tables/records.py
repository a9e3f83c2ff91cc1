"""Record files: one JSON line per finished cell and task. Readers check every line: it may be damaged or hostile."""

import errno
import gc
import json
import re
import stat
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, Optional

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # pydantic needs this TypedDict before Python 3.12

from bench.provenance.identity import canonical
from bench.tables.columns import ABSENT_IN_OLDER, COLUMNS, OLDEST
from bench.tables.contents import record_fault
from estimators.errors import BadInput

Integer = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""An integer that fits into a column of the table."""
JSON_TYPES: dict[str, Any] = {"text": str, "integer": Optional[Integer], "number": float | None, "truth": bool}  # noqa: UP045
FROM_ELSEWHERE = {
    "run",
    "rarest_event",
    "attempt",
    "unit",
    "metric",
    "value",
    "ci_low",
    "ci_high",
    "n",
    "method",
    "block",
}
"""Columns that are not keys of a record: known from the folder or the metrics, or listed in `measurements`."""

Task = Literal["plan", "accuracy", "throughput"]
"""The task of a record: a group of metrics, or `plan` for a cell that is not applicable and not measured."""
Key = tuple[str, str]
"""Cell id and task of a record."""


_STRICT = with_config(ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))


@_STRICT
class Measured(TypedDict):
    """A measurement as it stands in a record."""

    metric: str
    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: Integer | None
    method: str
    block: str


_OF_RECORD = {name: column for name, column in COLUMNS.items() if name not in FROM_ELSEWHERE}
_FROM_COLUMNS = {
    name: NotRequired[JSON_TYPES[column.kind]] if name in ABSENT_IN_OLDER else JSON_TYPES[column.kind]
    for name, column in _OF_RECORD.items()
}
_LINE: Any = TypedDict(
    "_LINE",
    {
        **_FROM_COLUMNS,  # pyright: ignore[reportGeneralTypeIssues]
        "task": Task,
        "accuracy": str,
        "throughput": str,
        "measurements": list[Measured],
    },
)
_READER = TypeAdapter(_STRICT(_LINE))


@dataclass(frozen=True)
class Records:
    """The records of a folder in the order of writing; `notes`: sentences about damaged or skipped lines."""

    lines: list[dict[str, Any]]
    notes: list[str]

    def latest(self) -> dict[Key, dict[str, Any]]:
        """The last record of each cell and task, with the number of attempts in `attempt`."""
        found: dict[Key, dict[str, Any]] = {}
        for line in self.lines:
            key = line["cell"], line["task"]
            found[key] = line | {"attempt": found[key]["attempt"] + 1 if key in found else 1}
        return found


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Disables garbage collection while many plain values are created: it would take longer than reading them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def files(folder: Path) -> list[Path]:
    """The record files of a folder, in the order of their names."""
    return sorted(folder.glob("records-*.jsonl"))


@no_garbage_collection()
def read_records(folder: Path, schema: int) -> Records:
    """Reads all records of a folder from schema `OLDEST` to `schema`; others are counted in a note.

    Damaged lines are left out and counted in a note: their cells count as not measured.

    Raises BadInput with the place of the first line if no line of a file is a record.
    """
    lines: list[dict[str, Any]] = []
    notes: list[str] = []
    older = 0
    for path in files(folder):
        whole, torn = split(path)
        if torn:
            notes.append(f"{path}: the last line was not finished ({len(torn)} bytes); it is dropped")
        damaged: list[BadInput] = []
        every = whole.splitlines()
        for number, line in enumerate(every, 1):
            try:
                found = parsed(line, schema, f"{path}, line {number}")
            except BadInput as error:
                damaged.append(error)
                continue
            older += found is None
            lines += [] if found is None else [found]
        if damaged:
            if len(damaged) == len(every):
                raise damaged[0]
            notes.append(f"{len(damaged)} of {len(every)} lines are damaged and left out, the first: {damaged[0]}")
    if older:
        notes.append(f"{folder}: {older} records of another version of gradest are not shown")
    return Records(lines, notes)


def sealed(record: Mapping[str, Any]) -> str:
    """A record as a line that begins with a checksum of the rest.

    >>> sealed({"cell": "a"})
    '{"sum":"7c56b467","cell":"a"}'
    """
    line = canonical(record)
    return f'{{"sum":"{_checksum(line.encode())}",{line[1:]}'


SEAL = re.compile(rb'\{"sum":"([0-9a-f]{8})",')


def _checksum(line: bytes) -> str:
    return f"{zlib.crc32(line):08x}"


def _unsealed(line: bytes, place: str) -> bytes:
    """A line without its checksum, which earlier versions do not write; raises BadInput if it does not fit."""
    seal = SEAL.match(line)
    if not seal:
        return line
    rest = b"{" + line[seal.end() :]
    if _checksum(rest).encode() != seal[1]:
        raise BadInput(f"{place} is damaged: its checksum is that of another text")
    return rest


def regular(path: Path) -> Path:
    """Returns the path of a file; raises OSError if it is a pipe, a device or a folder, which may never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    return path


def split(path: Path) -> tuple[bytes, bytes]:
    """Splits a file into its complete lines and the incomplete last line, which may be empty."""
    try:
        content = regular(path).read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from None
    end = content.rfind(b"\n") + 1
    return content[:end], content[end:]


def parsed(line: bytes, schema: int, place: str) -> dict[str, Any] | None:
    """Parses a line as a record; None if its schema is not supported.

    Raises BadInput with `place` if the line is not a record, or its checksum does not fit.
    """
    line = _unsealed(line, place)
    try:
        found: dict[str, Any] = _READER.validate_json(line)
    except ValidationError as error:
        claimed = _schema(line)
        if claimed is not None and not OLDEST <= claimed <= schema:
            return None
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the line"
        raise BadInput(f"{place} is not a record of gradest: {key}: {first['msg']}") from None
    found = ABSENT_IN_OLDER | found
    if fault := record_fault(found):
        raise BadInput(f"{place} is not a record of gradest: {fault}")
    return found if OLDEST <= found["schema"] <= schema else None


def _schema(line: bytes) -> int | None:
    """The schema stated in a line; None without one."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    schema = found.get("schema") if isinstance(found, dict) else None
    return schema if isinstance(schema, int) else None


Record = dict[str, Any]
"""A record as plain values, by key."""
