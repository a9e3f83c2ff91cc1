"""Changes that related cells share: an estimator's cells, a problem's cells, and all cells together.

A change of the code seldom moves a single cell. Cells that move together show a change that none shows alone: the mean
of k changes has 1/√k of their error. Cells whose numbers are the same in both runs did not change and are left out.
"""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import t

from bench.analysis.changes import TIMES
from bench.statistics.pooling import pooled_mean

ALL = "all"
COLUMNS_OF_GROUPS = ["kind", "name", "metric", "limit", "cells", "change", "change_low", "change_high", "log", "error",
                     "degrees", "p"]  # fmt: skip


def pooled_changes(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns a row per group of at least two cells, metric and limit.

    `kind`: estimator, problem, or all. `change`: the mean change for the worse as a factor, with its interval. `log`,
    `error`, `degrees` and `p` as in `bench.analysis.changes`. Of times only estimators and problems are pooled, because
    each time is relative to the change that all cells share.
    """
    uncertain = rows[(rows["error"] > 0) & np.isfinite(rows["error"]) & np.isfinite(rows["log"]) & rows["p"].notna()]
    found = [
        _pooled(members) | {"kind": kind, "name": name, "metric": metric, "limit": limit}
        for (metric, limit), of_limit in uncertain.groupby(["metric", "limit"], sort=False)
        for kind, name, members in _groups(of_limit, str(metric))
    ]
    return pd.DataFrame(found, columns=COLUMNS_OF_GROUPS)


def _groups(rows: pd.DataFrame, metric: str) -> Iterator[tuple[str, str, pd.DataFrame]]:
    for kind in ("estimator", "problem"):
        for name, members in rows.groupby(kind, sort=False):
            if 1 < len(members) < len(rows):
                yield kind, str(name), members
    if metric not in TIMES and len(rows) > 1:
        yield ALL, ALL, rows


def _pooled(members: pd.DataFrame) -> dict[str, object]:
    log, error, degrees = (members[name].to_numpy(float) for name in ("log", "error", "degrees"))
    mean, error, degrees = pooled_mean(log, error, degrees, _shared_error(members))
    half = float(t.ppf(0.975, degrees)) * error
    low, value, high = (float(np.exp(mean + side * half)) for side in (-1, 0, 1))
    p = float(t.sf((mean - np.log1p(members["limit"].iloc[0])) / error, degrees))
    return {"cells": len(members), "change": value, "change_low": low, "change_high": high, "log": mean, "error": error,
            "degrees": degrees, "p": p}  # fmt: skip


def _shared_error(members: pd.DataFrame) -> float:
    """The error of the change that all times share, which is in each of them; 0 for other metrics."""
    low, high = (float(members[f"common_{end}"].iloc[0]) for end in ("low", "high"))
    return float(np.log(high / low) / (2 * t.ppf(0.975, np.inf)))
