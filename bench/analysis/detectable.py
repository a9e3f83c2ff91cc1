"""What a comparison of two runs could have found: the smallest change that it finds with a power of 80 %.

Without this a green run reads as "nothing got worse", although noise may hide a change of any size.
"""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.changes import ALIKE_DRAWS, SAME_NUMBERS, Limit
from bench.analysis.pooled_changes import ALL
from bench.statistics.power import POWER, chance_of_finding, smallest_found

NAMED_CHANGE = 0.2
"""The change in a single cell whose chance to pass is said; twice the limit, if that is larger."""

HUGE_CHANGE = 10.0
"""A change beyond which only that is said."""


def with_smallest(rows: pd.DataFrame, level: float) -> pd.DataFrame:
    """Adds `finds`: the smallest change for the worse, as a share, that a test at `level` finds with `POWER`.

    A ratio without error finds every change beyond the limit; a row without a p-value finds none (NaN).
    """
    beyond = smallest_found(rows["error"].to_numpy(float), rows["degrees"].to_numpy(float), level)
    with np.errstate(over="ignore"):  # a time that was visited twice finds nothing: infinity
        finds = np.expm1(np.log1p(rows["limit"].to_numpy(float)) + np.where(rows["error"] == 0, 0.0, beyond))
    return rows.assign(finds=np.where(rows["p"].isna(), np.nan, finds))


def power_of(rows: pd.DataFrame, groups: pd.DataFrame, limits: tuple[Limit, ...], level: float) -> pd.DataFrame:
    """Returns a row per limit: what was compared, and what could have been found.

    `cells`: judged cells; `same_numbers` and `same_draws`: how many of them rest on that. `best`, `median`, `worst`: of
    `finds` over the other cells, those whose numbers differ. `change`: a change in a single one of them, found with a
    chance below `POWER` in `doubtful` of them, and missed with the chance `missed` in one taken at random.
    `all_together`: the smallest change common to all of them that is found with `POWER`; NaN for times.
    """
    return pd.DataFrame([_of_limit(rows, groups, limit, level) for limit in limits])


def _of_limit(rows: pd.DataFrame, groups: pd.DataFrame, limit: Limit, level: float) -> dict[str, Any]:
    mine = rows[(rows["metric"] == limit.metric) & (rows["limit"] == limit.share) & rows["p"].notna()]
    moved = mine[mine["basis"] != SAME_NUMBERS]
    change = max(NAMED_CHANGE, 2 * limit.share)
    distance = np.log1p(change) - np.log1p(limit.share)
    chance = chance_of_finding(distance, moved["error"].to_numpy(float), moved["degrees"].to_numpy(float), level)
    every = groups[(groups["kind"] == ALL) & (groups["metric"] == limit.metric) & (groups["limit"] == limit.share)]
    finds = moved["finds"]
    return {
        "metric": limit.metric,
        "limit": limit.share,
        "power": POWER,
        "cells": len(mine),
        "same_numbers": int((mine["basis"] == SAME_NUMBERS).sum()),
        "same_draws": int((mine["basis"] == ALIKE_DRAWS).sum()),
        **{name: _at(finds, share) for name, share in (("best", 0.0), ("median", 0.5), ("worst", 1.0))},
        "change": change,
        "doubtful": int((chance < POWER).sum()),
        "missed": float(1 - chance.mean()) if len(moved) else float("nan"),
        "all_together": float(every["finds"].iloc[0]) if len(every) else float("nan"),
    }


def _at(finds: pd.Series, share: float) -> float:
    """The value below which a share of the values lies, one of them, so that it may be infinite; NaN without values."""
    return float(finds.quantile(share, interpolation="lower")) if len(finds) else float("nan")


def power_sentences(row: dict[str, Any]) -> list[str]:
    """Returns sentences on what one limit of a comparison could have found, from a row of `power_of`."""
    of = f"{row['metric']}, limit {percent(row['limit'])}"
    moved = row["cells"] - row["same_numbers"]
    said = []
    if row["same_numbers"]:
        said.append(
            f"{of}: {row['same_numbers']} of {row['cells']} cells gave the same numbers from the same draws: nothing "
            "changed there"
        )
    if not moved:
        return said or [f"{of}: no cell is judged, so nothing could have been found"]
    together = (
        ""
        if np.isnan(row["all_together"])
        else f", and a change common to all of them from {percent(row['all_together'])}"
    )
    said.append(
        f"{of}: with a power of {percent(row['power'])} this comparison finds a change in a single cell from "
        f"{percent(row['median'])} (median of {moved} cells; {percent(row['best'])} in the best, "
        f"{percent(row['worst'])} in the worst){together}. "
        f"{percent(row['missed'])} of changes of {percent(row['change'])}, each in a single cell, would have passed; "
        f"in {row['doubtful']} of {moved} cells such a change is found with a power below {percent(row['power'])}"
    )
    return said


def percent(share: float) -> str:
    """Returns a share in percent with two digits.

    >>> percent(0.2), percent(0.0213), percent(1.4), percent(float("inf"))
    ('20 %', '2.1 %', '140 %', 'over 1000 %')
    """
    return "over 1000 %" if share > HUGE_CHANGE else f"{float(f'{100 * share:.2g}'):g} %"
