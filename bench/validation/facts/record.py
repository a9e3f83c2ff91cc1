"""What was found of a fact: its record, one JSON line, and the table made from the records."""

import json
import math
import os
import time
import traceback
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from bench.provenance.identity import canonical
from bench.provenance.machine import environment_key
from bench.tables.records import split
from bench.validation.facts.fact import SOURCE, Check, Curve, Fact, Picture, Rows
from bench.validation.facts.sampler import Sampler
from estimators.errors import BadInput

REPRODUCED, NOT_REPRODUCED, NOT_RUN = "reproduced", "not reproduced", "not run"
FACT_SCHEMA = 1
FACT_COLUMNS = (
    "group", "topic", "fact", "statement", "source", "check", "relation", "expected", "measured", "low", "high",
    "resolution", "holds", "verdict", "reason", "seconds", "seed", "quick", "retested", "created", "env",
)  # fmt: skip


@dataclass(frozen=True)
class FactRecord:
    """A fact's verdict with all its numbers. `digest`: of the source it was measured by. `retested`: the first seed
    disagreed, these are the numbers of a second one."""

    fact: str
    verdict: str
    reason: str
    checks: list[Check]
    pictures: list[Picture]
    digest: str
    seed: int
    quick: bool
    retested: bool = False
    seconds: float = 0.0
    created: str = ""
    env: str = ""
    rows: list[Rows] = field(default_factory=list)
    schema: int = FACT_SCHEMA

    def line(self) -> str:
        """As one line of JSON; infinities and NaNs are null."""
        return canonical(_finite(asdict(self)))

    @classmethod
    def of(cls, found: dict[str, Any]) -> "FactRecord":
        """From what `line` wrote."""
        checks = [Check(**_numbers(check)) for check in found["checks"]]
        pictures = [
            Picture(**{**each, "curves": [Curve(**curve) for curve in each["curves"]]}) for each in found["pictures"]
        ]
        rows = [Rows(**each) for each in found.get("rows", [])]
        return cls(**{**found, "checks": checks, "pictures": pictures, "rows": rows})


def examined(fact: Fact, seed: int = 0, quick: bool = False) -> FactRecord:
    """Measures a fact, and once more with fresh seeds where it is not reproduced; an error is a verdict too."""
    start = time.perf_counter()
    first = _measured(fact, seed, quick)
    second = first
    if first.verdict != REPRODUCED:
        second = _measured(fact, seed + 1, quick)
    return FactRecord(
        **{
            **vars(second),
            "retested": second is not first,
            "seconds": round(time.perf_counter() - start, 3),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "env": environment_key(),
        }
    )


def _measured(fact: Fact, seed: int, quick: bool) -> FactRecord:
    try:
        found = list(fact.measure(Sampler(fact.name, seed, quick)))
        reason = ""
    except Exception as error:
        found, place = [], traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {error} ({Path(place.filename).name}, line {place.lineno})"
    checks = [each for each in found if isinstance(each, Check)]
    pictures = [each for each in found if isinstance(each, Picture)]
    rows = [each for each in found if isinstance(each, Rows)]
    wrong = [check for check in checks if not check.holds]
    reason = reason or "; ".join(check_in_words(check) for check in wrong)
    verdict = REPRODUCED if checks and not reason else NOT_REPRODUCED
    return FactRecord(fact.name, verdict, reason, checks, pictures, SOURCE, seed, quick, rows=rows)


def check_in_words(check: Check) -> str:
    """A check in words.

    >>> check_in_words(Check("E x", 1.0, 2.0, 1.9, 2.1))
    'E x: expected = 1, measured 2 (1.9 to 2.1)'
    """
    ends = f"{check.low:.6g} to {check.high:.6g}"
    return f"{check.what}: expected {check.relation} {check.expected:.6g}, measured {check.measured:.6g} ({ends})"


def verdict_counts(facts: Iterable[Fact], records: dict[str, FactRecord]) -> dict[str, int]:
    """How many facts have which verdict."""
    words = [records[each.name].verdict if each.name in records else NOT_RUN for each in facts]
    return {word: words.count(word) for word in (REPRODUCED, NOT_REPRODUCED, NOT_RUN)}


def append(path: Path, record: FactRecord) -> None:
    """The record is on the disk when this returns."""
    with path.open("a", encoding="utf-8") as file:
        file.write(record.line() + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_fact_records(path: Path) -> dict[str, FactRecord]:
    """The last record of each fact; a torn last line is cut off."""
    if not path.exists():
        return {}
    whole, torn = split(path)
    if torn:
        os.truncate(path, len(whole))
    found = {}
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            content = json.loads(line)
            if content["schema"] == FACT_SCHEMA:
                found[content["fact"]] = FactRecord.of(content)
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(f"{path}, line {number} is no record of a fact: {error}") from None
    return found


def fact_table(facts: Iterable[Fact], records: dict[str, FactRecord]) -> pd.DataFrame:
    """One row per check; a fact without a record has one row, *not run*."""
    rows = []
    for fact in facts:
        about = {"group": fact.group, "topic": fact.topic, "fact": fact.name}
        about |= {"statement": fact.statement, "source": fact.cite}
        record = records.get(fact.name)
        if record is None:
            reason = fact.lacking or ("takes longer than --quick allows" if fact.slow else "not asked for")
            rows.append({**about, "verdict": NOT_RUN, "reason": reason})
            continue
        about |= {name: getattr(record, name) for name in FACT_COLUMNS if hasattr(record, name) and name != "fact"}
        for check in record.checks:
            own = {"check": check.what, "holds": check.holds, "resolution": check.resolution}
            rows.append({**about, **own, **{n: getattr(check, n) for n in FACT_COLUMNS[6:11]}})
        if not record.checks:
            rows.append(about)
    return pd.DataFrame(rows, columns=pd.Index(FACT_COLUMNS))


def kept(records: Iterable[FactRecord]) -> dict[str, pd.DataFrame]:
    """The tables that facts keep, by name; the rows of facts that share one are one below the other."""
    found: dict[str, list[pd.DataFrame]] = {}
    for each in records:
        for rows in each.rows:
            found.setdefault(rows.name, []).append(pd.DataFrame(rows.columns))
    return {name: pd.concat(parts, ignore_index=True) for name, parts in found.items()}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None


def _numbers(check: dict[str, Any]) -> dict[str, Any]:
    """`within` is the only number of a check that may be infinite."""
    return {**check, "within": math.inf if check["within"] is None else check["within"]}
