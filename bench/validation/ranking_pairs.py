"""The ranking against all pairs: the ratio of any two ranked estimators, beside that of their direct comparison.

`python -m bench.validation.ranking_pairs [RUN]` prints, for each kind of problem and quantity held equal, the largest
difference, in units of the direct comparison's interval: 0 is the same ratio, 1 lies at the interval's end. Default:
results/reference.
"""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import sys

import numpy as np
import pandas as pd

from bench.analysis.comparison import compare_estimators
from bench.analysis.ranking import rankings
from bench.tables.folder import load
from bench.tables.wide import wide_table
from bench.validation.exactness import markdown
from estimators.errors import BadInput

GAPS = {"noise of measuring": [("ratio_low", "ratio_high")],
        "both": [("ratio_low", "ratio_high"), ("problems_low", "problems_high")]}  # fmt: skip
"""The intervals of a direct comparison whose ends count; of both, the farther one."""


def ranked_pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Returns a row per kind, quantity held equal and ranked pair: both ratios, and their differences.

    `read`: the ratio read from the ranking; `ratio`: that of the direct comparison. For each entry of `GAPS`: the
    distance of their logarithms, divided by that from `ratio` to the interval's end on the same side.
    """
    rows = wide_table(table)
    ranked = rankings(rows)
    names = sorted({name for ranking in ranked.of.values() for name in ranking.names})
    found = []
    for other in names:
        direct = compare_estimators(rows, baseline=other).overall
        for row in direct[direct["estimator"] > other].to_dict("records"):
            ranking = ranked.of[row["kind"], row["equal"]]
            if {row["estimator"], other} <= set(ranking.names) and row["ratio"] > 0:
                read = ranking.ratio(row["estimator"], other).value
                found.append({name: row[name] for name in ("kind", "equal", "estimator", "ratio")}
                             | {"other": other, "read": read}
                             | {name: _in_units(read, row, ends) for name, ends in GAPS.items()})  # fmt: skip
    return pd.DataFrame(found, columns=["kind", "equal", "estimator", "other", "read", "ratio", *GAPS])


def _in_units(read: float, row: dict, ends: list[tuple[str, str]]) -> float:
    """Returns the distance of the ratio that was read, in units of the interval; 0 where they agree to rounding."""
    distance = np.log(read / row["ratio"])
    if abs(distance) < 1e-9:
        return 0.0
    on_its_side = [np.abs(np.log(row[high if distance > 0 else low] / row["ratio"])) for low, high in ends]
    return float(abs(distance) / np.nanmax(on_its_side))


def ranking_pairs_text(pairs: pd.DataFrame) -> str:
    """Returns the largest differences as a table, and a sentence."""
    lines = []
    for (kind, equal), own in pairs.groupby(["kind", "equal"], sort=False):
        farthest = own.loc[own["both"].idxmax()]
        shown = [f"{own[name].max():.2g}" for name in GAPS]
        names = f"{farthest['estimator']} ÷ {farthest['other']}" if farthest["both"] > 0 else "—"
        both = [f"{farthest[name]:.3g}" if farthest["both"] > 0 else "—" for name in ("read", "ratio")]
        lines.append([kind, equal, len(own), *shown, names, *both])
    columns = ["kind", "at equal", "pairs", "÷ noise of measuring", "÷ the wider interval", "the farthest pair",
               "ranking", "directly"]  # fmt: skip
    most = f"{pairs['both'].max():.2g}" if len(pairs) else "nothing"
    return f"{markdown(pd.DataFrame(lines, columns=columns))}\n\n{len(pairs)} pairs; at most {most} of an interval."


if __name__ == "__main__":
    try:
        print(ranking_pairs_text(ranked_pairs(load(*(sys.argv[1:2] or ["results/reference"])))))
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
