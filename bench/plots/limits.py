"""Distance of timed cells from the device's limit: an estimate cannot be faster than drawing its random numbers."""

# pyright: reportAssignmentType=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.plots.matrices import ordered
from bench.plots.panels import ends, known_hue
from bench.plots.style import BASELINE_COLOUR, PAGE_WIDTH, blank, colours_and_markers, empty, log_axis, shorten, styled
from bench.tables.derived import with_limit
from bench.tables.wide import wide_table


def distance_from_limit(table: pd.DataFrame, order: Sequence[str] | None = None, hue: str = "mode") -> Figure:
    """Draws the time of each timed cell ÷ the time to draw its random numbers alone, with intervals.

    One dot per problem and number of samples; at the line at 1 no gain is left. `hue` is the column to colour by.
    Default: the execution mode of the step.
    """
    rows = wide_table(table)
    known_hue(rows, hue)
    rows = with_limit(rows) if len(rows) else rows.assign(times_of_limit=np.nan)
    rows = rows[rows["times_of_limit"].notna()]
    if rows.empty:
        return empty("no cell of this table has both its time and that of its random numbers alone")
    names = ordered(rows["estimator"], order)
    groups = rows[hue].astype(str)
    style = colours_and_markers(list(dict.fromkeys(groups)))
    step = 0.6 / len(style)
    with styled():
        figure = blank(PAGE_WIDTH, 0.22 * len(names) + 0.9)
        axes = figure.subplots()
        for i, (group, (colour, marker)) in enumerate(style.items()):
            mine = rows[groups == group]
            place = mine["estimator"].map(names.index).to_numpy(float) + (i - (len(style) - 1) / 2) * step
            axes.errorbar(
                mine["times_of_limit"].to_numpy(float), place, xerr=ends(mine, "times_of_limit"), color=colour,
                marker=marker, linestyle="", elinewidth=0.6, alpha=0.6, markersize=3,
            )  # fmt: skip
        axes.axvline(1, color=BASELINE_COLOUR, linewidth=1)
        axes.set(xscale="log", xlabel="time per estimate ÷ time of its random numbers alone")
        log_axis(axes.xaxis)
        axes.set_yticks(range(len(names)), [shorten(name) for name in names])
        axes.set_ylim(len(names) - 0.5, -0.5)
        if len(style) > 1:
            handles = [Line2D([], [], color=c, marker=m, linestyle="", label=g) for g, (c, m) in style.items()]
            figure.legend(handles=handles, loc="outside upper right", ncols=len(handles), handlelength=1)
        return figure
