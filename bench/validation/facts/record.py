"""The record of a measured fact, one line of JSON, and the table made from the records."""

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
    """A fact's verdict with all its numbers.

    `digest`: of the source with which it was measured. `retested`: True if the first seed disagreed, so that these are
    the numbers of a second seed.
    """

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
        """Returns the record as one line of JSON; infinities and NaNs are null."""
        return canonical(_finite(asdict(self)))

    @classmethod
    def of(cls, found: dict[str, Any]) -> "FactRecord":
        """Returns the record from the parsed JSON of `line`."""
        checks = [Check(**_numbers(check)) for check in found["checks"]]
        pictures = [
            Picture(**{**each, "curves": [Curve(**curve) for curve in each["curves"]]}) for each in found["pictures"]
        ]
        rows = [Rows(**each) for each in found.get("rows", [])]
        return cls(**{**found, "checks": checks, "pictures": pictures, "rows": rows})


def examined(fact: Fact, seed: int = 0, quick: bool = False) -> FactRecord:
    """Measures a fact; if it is not reproduced, measures it again with a fresh seed. An error also gives a verdict."""
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
    """Returns a check in words.

    >>> check_in_words(Check("E x", 1.0, 2.0, 1.9, 2.1))
    'E x: expected = 1, measured 2 (1.9 to 2.1)'
    """
    ends = f"{check.low:.6g} to {check.high:.6g}"
    return f"{check.what}: expected {check.relation} {check.expected:.6g}, measured {check.measured:.6g} ({ends})"


def verdict_counts(facts: Iterable[Fact], verdicts: dict[str, str]) -> dict[str, int]:
    """Returns the number of facts by verdict; `verdicts` of facts by name."""
    words = [verdicts.get(each.name, NOT_RUN) for each in facts]
    return {word: words.count(word) for word in (REPRODUCED, NOT_REPRODUCED, NOT_RUN)}


def append(path: Path, record: FactRecord) -> None:
    """Appends the record to the file; it is on the disk when the function returns."""
    with path.open("a", encoding="utf-8") as file:
        file.write(record.line() + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_fact_records(path: Path) -> dict[str, FactRecord]:
    """Reads the last record of each fact; an incomplete last line is removed from the file.

    Raises:
        BadInput: A line is not a record.
    """
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
            raise BadInput(f"{path}, line {number} is not a record of a fact: {error}") from None
    return found


def fact_table(facts: Iterable[Fact], records: dict[str, FactRecord]) -> pd.DataFrame:
    """Returns one row per check; a fact without a record has one row, *not run*."""
    rows = []
    for fact in facts:
        about = {"group": fact.group, "topic": fact.topic, "fact": fact.name}
        about |= {"statement": fact.statement, "source": fact.cite}
        record = records.get(fact.name)
        if record is None:
            reason = fact.lacking or ("takes longer than --quick allows" if fact.slow else "not selected")
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
    """Returns the tables of the facts' rows by name, with a column `fact`; facts may share a table."""
    found: dict[str, list[pd.DataFrame]] = {}
    for each in records:
        for rows in each.rows:
            found.setdefault(rows.name, []).append(pd.DataFrame({"fact": each.fact, **rows.columns}))
    return {name: pd.concat(parts, ignore_index=True) for name, parts in found.items()}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None


def _numbers(check: dict[str, Any]) -> dict[str, Any]:
    """Restores an infinite `within`, the only number of a check that may be infinite."""
    return {**check, "within": math.inf if check["within"] is None else check["within"]}
