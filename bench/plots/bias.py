"""How a biased estimator is wrong: in length or in direction."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.plots.matrices import ordered
from bench.plots.panels import coloured, known_hue
from bench.plots.style import BASELINE_COLOUR, PAGE_WIDTH, blank, empty, shorten, styled
from bench.tables.wide import wide_table


def scale_and_cosine(table: pd.DataFrame, order: Sequence[str] | None = None, hue: str = "estimator") -> Figure:
    """Draws scale against cosine of the estimates' mean, relative to the exact gradient, for cells shown biased.

    Both are 1 for an unbiased estimator. Left of the line at scale 1 the mean is too short; below the line at cosine 1
    it has another direction. With intervals.
    """
    rows = wide_table(table)
    known_hue(rows, hue)
    rows = rows[(rows["verdict"] == "biased") & rows["scale"].notna() & rows["cosine"].notna()]
    if rows.empty:
        return empty("no cell with an exact gradient is shown biased")
    style, shown = coloured(rows, ordered(rows["estimator"], order), hue, order)
    with styled():
        figure = blank(PAGE_WIDTH, 3.0)
        axes = figure.subplots()
        for name, (colour, marker) in style.items():
            mine = rows[rows["estimator"] == name]
            axes.errorbar(
                mine["scale"], mine["cosine"], xerr=_ends(mine, "scale"), yerr=_ends(mine, "cosine"), color=colour,
                marker=marker, linestyle="", elinewidth=0.8,
            )  # fmt: skip
        axes.axvline(1, color=BASELINE_COLOUR, linewidth=1)
        axes.axhline(1, color=BASELINE_COLOUR, linewidth=1)
        axes.set(xlabel="scale: length along the exact gradient ÷ its length", ylabel="cosine to the exact gradient")
        handles = [
            Line2D([], [], color=c, marker=m, linestyle="", label=shorten(name)) for name, (c, m) in shown.items()
        ]
        figure.legend(handles=handles, loc="outside right upper", handlelength=1)
        return figure


def _ends(rows: pd.DataFrame, metric: str) -> np.ndarray:
    value = rows[metric].to_numpy(float)
    low, high = rows[f"{metric}_low"].to_numpy(float), rows[f"{metric}_high"].to_numpy(float)
    return np.nan_to_num(np.maximum([value - low, high - value], 0.0))
