"""The ranking of estimators: a panel for each kind of problem, with two intervals."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.analysis.comparison import EQUAL, EQUAL_WORDS
from bench.analysis.ranking import Rankings, rankings
from bench.plots.panels import BEHIND, with_room
from bench.plots.style import BASELINE_COLOUR, INK, PAGE_WIDTH, VERDICTS, blank, empty, log_axis, shorten, styled
from bench.tables.wide import wide_table
from estimators.errors import BadInput, nearest

BIASED = {False: "not shown biased", True: "shown biased on some problem"}
ACROSS = 2
"""Panels side by side."""
PANEL_ROW, PANEL_HEAD = 0.165, 0.52
"""Height of an estimator's line, and of a panel's title and axis, in inches."""


def ranking(
    table: pd.DataFrame,
    baseline: str | None = None,
    order: Sequence[str] | None = None,
    *,
    equal: str | None = None,
    ranked: Rankings | None = None,
) -> Figure:
    """Draws each estimator's variance relative to the baseline, a panel for each kind of problem.

    Thick: the 95 % interval of the noise of measuring. Thin: that of the choice of problems. Below the line stand the
    estimators apart, with the number of problems behind their ratios.

    Args:
        table: A table of results.
        baseline: The estimator to compare with. Default: reinforce.
        order: Names of estimators, in the order to show them. Default: best first.
        equal: The quantity held equal: samples, evaluations or seconds. Default: seconds if times were measured.
        ranked: The finished rankings. Default: made from `table`.

    Raises:
        BadInput: There is no such baseline, or no such quantity.
    """
    if equal not in (None, *EQUAL):
        raise BadInput(f"there is no quantity {equal!r} to hold equal; {nearest(equal, EQUAL)}")
    if table.empty:
        return empty("no cells in this table")
    every = (ranked or rankings(wide_table(table), baseline=baseline)).rows
    way = equal or next((each for each in ("seconds", "samples") if each in set(every["equal"])), "samples")
    rows = every[(every["equal"] == way) & every["ratio"].notna()]
    panels = [_sorted(group, order) for _, group in rows.groupby("kind", sort=False) if len(group) > 1]
    if not panels:
        return empty(f"no variance at {EQUAL_WORDS[way]} to rank")
    common = rows["baseline"].mode().iloc[0]
    columns = _columns([len(panel) for panel in panels])
    heights = [sum(PANEL_HEAD + PANEL_ROW * len(panels[place]) for place in column) for column in columns]
    with styled():
        figure = blank(PAGE_WIDTH, max(heights) + 0.45)
        parts = figure.subfigures(1, len(columns), squeeze=False)[0]
        for part, column in zip(parts, columns, strict=True):
            sizes = [PANEL_HEAD + PANEL_ROW * len(panels[place]) for place in column]
            left = max(heights) - sum(sizes)
            grid = part.subplots(len(column) + (left > PANEL_ROW), 1, squeeze=False,
                                 height_ratios=[*sizes, *([left] if left > PANEL_ROW else [])])  # fmt: skip
            for axes, place in zip(grid[:, 0], column, strict=False):
                _panel(axes, panels[place], common)
            for axes in grid[len(column) :, 0]:
                axes.set_axis_off()
        handles = [Line2D([], [], linestyle="", label=word, **_look(biased)) for biased, word in BIASED.items()]
        handles += [Line2D([], [], color=INK, linewidth=width, label=word) for width, word in INTERVALS.items()]
        figure.legend(handles=handles, loc="outside upper center", ncols=4, handlelength=1.2, columnspacing=1.2)
        figure.supxlabel(f"variance ÷ {shorten(common)}'s, at {EQUAL_WORDS[way]}", fontsize=8)
        return figure


INTERVALS = {2.2: "noise of measuring", 0.7: "choice of problems"}
"""Widths of the lines of the two intervals."""


def _sorted(rows: pd.DataFrame, order: Sequence[str] | None) -> pd.DataFrame:
    """Returns the rows of a panel: the ranked estimators in order, then those apart."""
    if order is None:
        return rows
    place = {name: i for i, name in enumerate(order)}
    return rows.sort_values("estimator", key=lambda names: names.map(place).fillna(len(place)), kind="stable")


def _columns(sizes: list[int]) -> list[list[int]]:
    """Distributes panels, in order, over columns of about the same height.

    >>> _columns([15, 12, 6, 11])
    [[0, 3], [1, 2]]
    >>> _columns([5])
    [[0]]
    """
    columns: list[list[int]] = [[] for _ in range(min(ACROSS, len(sizes)))]
    for place, _ in enumerate(sizes):
        min(columns, key=lambda column: sum(sizes[i] + PANEL_HEAD / PANEL_ROW for i in column)).append(place)
    return columns


def _panel(axes: Axes, rows: pd.DataFrame, common: str) -> None:
    apart = (rows["apart"] != "").to_numpy()
    for y, row in enumerate(rows.to_dict("records")):
        _drawn_row(axes, y, row)
    axes.axvline(1, color=BASELINE_COLOUR, linewidth=1, zorder=0)
    if apart.any() and not apart.all():
        axes.axhline(np.flatnonzero(apart)[0] - 0.5, color=BASELINE_COLOUR, linewidth=0.6, linestyle=(0, (2, 2)))
    axes.set_xscale("log")
    _zoom(axes, rows)
    log_axis(axes.xaxis)
    axes.set_yticks(range(len(rows)), [shorten(name, 26) for name in rows["estimator"]], fontsize=6.5)
    for y, row in enumerate(rows.to_dict("records")):
        _number_of_problems(axes, y, row)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    problems, baseline = int(rows["of_problems"].iloc[0]), rows["baseline"].iloc[0]
    other = "" if baseline == common else f", ÷ {shorten(baseline, 20)}'s"
    axes.set_title(f"{rows['kind'].iloc[0]}: {problems} problem{'' if problems == 1 else 's'}{other}", loc="right")


def _zoom(axes: Axes, rows: pd.DataFrame) -> None:
    """Sets the axis to the ratios and their intervals of measuring; wider intervals go on beyond the panel."""
    ends = rows.loc[rows["ratio"] > 0, ["ratio", "ratio_low", "ratio_high"]].to_numpy(float)
    ends = ends[np.isfinite(ends) & (ends > 0)]
    low, high = float(ends.min(initial=1.0)), float(ends.max(initial=1.0))
    room = max((high / low) ** 0.08, 1.15)
    axes.set_xlim(low / room, with_room(high, room))


def _number_of_problems(axes: Axes, y: int, row: dict[str, Any]) -> None:
    """Writes the number of problems behind a ratio where it is not all of them, on the side away from the ratio."""
    if row["ratio"] == 0:
        text = "0: no variance"
    elif row["problems"] == row["of_problems"]:
        return
    else:
        text = f"{row['problems']} of {row['of_problems']}"
        text += f", 0 on {row['without_variance']}" if row["without_variance"] else ""
    low, high = np.log(axes.get_xlim())
    right = row["ratio"] > 0 and np.log(row["ratio"]) < (low + high) / 2
    axes.text(0.98 if right else 0.02, y, text, transform=axes.get_yaxis_transform(), va="center", fontsize=6,
              ha="right" if right else "left", color=BASELINE_COLOUR, bbox=BEHIND, zorder=3)  # fmt: skip


def _look(biased: bool, apart: bool = False) -> dict[str, Any]:
    colour = VERDICTS["biased" if biased else "unbiased"]
    return {"marker": "s" if biased else "o", "color": colour, "markerfacecolor": "white" if apart else colour}


def _drawn_row(axes: Axes, y: int, row: dict[str, Any]) -> None:
    look = _look(bool(row["biased_on"]), bool(row["apart"]))
    if row["ratio"] == 0:
        return
    for width, ends in zip(INTERVALS, ("ratio", "problems"), strict=True):
        low, high = row[f"{ends}_low"], row[f"{ends}_high"]
        reach = np.nan_to_num([[row["ratio"] - low], [high - row["ratio"]]], posinf=1e300)
        axes.errorbar([row["ratio"]], [y], xerr=np.maximum(reach, 0), linestyle="", ecolor=INK, elinewidth=width,
                      alpha=None if width > 1 else 0.55, **look)  # fmt: skip
