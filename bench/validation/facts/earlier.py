"""The outcomes of an earlier verification, of facts that the present one does not measure: kept as they were."""

# pyright: reportArgumentType=false, reportCallIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.validation.facts.record import FACT_COLUMNS, NOT_RUN

OWNER = "fact"
"""The column that says which fact a row is from."""


@dataclass(frozen=True)
class EarlierRows:
    """A fact's rows in a `facts.csv`, as text, so that they are written again without a change."""

    rows: list[list[str]]

    @property
    def verdict(self) -> str:
        """The fact's verdict then."""
        return self.rows[0][FACT_COLUMNS.index("verdict")]

    @property
    def created(self) -> str:
        """The time at which it was measured."""
        return self.rows[0][FACT_COLUMNS.index("created")]


def earlier_rows(table: Path) -> dict[str, EarlierRows]:
    """Returns the rows of every fact that was measured, by fact; none if there is no table of the present columns."""
    if not table.is_file():
        return {}
    with table.open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    if not lines or tuple(lines[0]) != FACT_COLUMNS:
        return {}
    found: dict[str, list[list[str]]] = {}
    for line in lines[1:]:
        found.setdefault(line[FACT_COLUMNS.index(OWNER)], []).append(line)
    return {name: EarlierRows(rows) for name, rows in found.items() if EarlierRows(rows).verdict != NOT_RUN}


def write_facts(table: pd.DataFrame, kept: dict[str, EarlierRows], path: Path) -> None:
    """Writes the table of facts, with the rows of `kept` in place of their rows in `table`."""
    text = table.to_csv(index=False, float_format="%.10g")
    header, *lines = csv.reader(text.splitlines(keepends=True))
    written = set()
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(header)
        for line in lines:
            name = line[header.index(OWNER)]
            if name not in kept:
                out.writerow(line)
            elif name not in written:
                out.writerows(kept[name].rows)
                written.add(name)


def with_earlier(
    table: pd.DataFrame, path: Path, kept: Iterable[str], groups: Mapping[str, str]
) -> pd.DataFrame | None:
    """Returns a table of facts' own rows with the rows that `path` has of the facts `kept`.

    None where the earlier table does not say which fact a row is from and a fact of the same group is kept: it would
    lose rows. `groups`: the group of each fact, in the order of the rows.
    """
    kept = set(kept)
    if not path.is_file():
        return table
    before = pd.read_csv(path)
    if OWNER in before:
        both = pd.concat([before[before[OWNER].isin(kept)], table])
        return both.sort_values(OWNER, key=lambda names: names.map([*groups].index), kind="stable", ignore_index=True)
    own = {groups[name] for name in table[OWNER].unique()}
    return None if own & {groups.get(name) for name in kept} else table
