"""`make canary`, for an upgrade of torch: what the installed torch does otherwise than the committed tables say.

Measures forty cells of `results/reference` again, with the same seeds, and the whole table of what torch's
distributions offer (`bench.validation.torch_offers`). Prints what changed, a line each,
with exit code 1 where something did.
"""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import os
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bench.sweeps.run import run
from bench.tables.folder import load
from bench.tables.toml import dumps
from bench.validation.torch_offers import table

REFERENCE = Path("results/reference")
MEASURED_CELLS = 40
COMPARED = ("bias", "variance", "mse", "scale", "snr")
"""Metrics of accuracy. Times belong to a machine."""
SAME = 1e-6
"""Relative: the same draws on another processor round otherwise."""
WIDENED_BY = 3.0
"""Two intervals, each widened so many times about its value, that do not meet: more than other draws do."""


def main() -> int:
    """Measures, and says what changed."""
    changed = [
        *changed_cells(REFERENCE, MEASURED_CELLS),
        *table.differences(table.measure_classes(jobs=os.cpu_count() or 1)),
    ]
    print("\n".join(changed) or f"nothing changed: {MEASURED_CELLS} cells, {len(table.classes())} classes")
    return int(bool(changed))


def changed_cells(folder: Path, count: int) -> list[str]:
    """What differs in `count` cells of a run, evenly spread over its sorted ids, when they are measured again."""
    before = load(folder)
    before = before[before["metric"].isin(COMPARED) & (before["status"] == "ok")]
    chosen = evenly_spaced(sorted(before["cell"].unique()), count)
    settings = tomllib.loads((folder / "config.toml").read_text()) | {"metrics": ["accuracy"]}
    with tempfile.TemporaryDirectory() as place:
        suite = Path(place) / "canary.toml"
        suite.write_text(dumps(settings))
        run(suite, Path(place) / "out", where=f"cell in [{', '.join(map(repr, chosen))}]", jobs=os.cpu_count())
        after = load(Path(place) / "out")
    return compared(before[before["cell"].isin(chosen)], after)


def evenly_spaced(ids: Sequence[str], count: int) -> list[str]:
    """`count` of them at equal distances.

    >>> evenly_spaced(["a", "b", "c", "d"], 2)
    ['a', 'c']
    """
    return [ids[i * len(ids) // count] for i in range(min(count, len(ids)))]


def compared(before: pd.DataFrame, after: pd.DataFrame) -> list[str]:
    """Cells that are gone or failed, other verdicts, values beyond chance, and how many cells drew other numbers."""
    lines, other = [], set()
    new = after.set_index(["cell", "metric", "block"])
    for row in before.to_dict("records"):
        what = (
            f"{row['estimator']} on {row['objective']}/{row['distribution']}, {row['samples']} samples ({row['cell']})"
        )
        key = (row["cell"], row["metric"], row["block"])
        if key not in new.index:
            own = after[after["cell"] == row["cell"]]
            lines.append(f"{what}: {own['reason'].iloc[0] if len(own) else 'no longer a cell of the suite'}")
            continue
        now = new.loc[key]
        if row["verdict"] != now["verdict"] and not (pd.isna(row["verdict"]) and pd.isna(now["verdict"])):
            lines.append(f"{what}: was {row['verdict']}, is {now['verdict']}")
        if abs(row["value"] - now["value"]) > SAME * abs(row["value"]) + 1e-12:
            other.add(row["cell"])
            if intervals_apart(row, now):
                lines.append(f"{what}: {row['metric']} was {row['value']:.6g}, is {now['value']:.6g}, beyond chance")
    if other:
        lines.append(f"{len(other)} of {before['cell'].nunique()} cells drew other numbers, for instance {min(other)}")
    return list(dict.fromkeys(lines))


def intervals_apart(one: "pd.Series | dict", two: "pd.Series | dict") -> bool:
    """Whether the widened intervals do not meet; values without intervals are compared by `SAME` alone."""
    ends = [
        (
            each["value"] - WIDENED_BY * (each["value"] - each["ci_low"]),
            each["value"] + WIDENED_BY * (each["ci_high"] - each["value"]),
        )
        for each in (one, two)
    ]
    return not (ends[0][0] <= ends[1][1] and ends[1][0] <= ends[0][1])


if __name__ == "__main__":
    sys.exit(main())
