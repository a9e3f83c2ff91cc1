"""Small multiples, one panel per problem: variance against samples, evaluations and time; throughput."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.plots.matrices import ordered
from bench.plots.style import (
    BASELINE_COLOUR,
    INK,
    PAGE_WIDTH,
    blank,
    colours_and_markers,
    empty,
    grid_shape,
    log_axis,
    on_lines,
    shorten,
    styled,
)
from bench.tables.wide import wide_table
from estimators.errors import BadInput, nearest

Looks = dict[str, tuple[str, str]]
"""Name → colour and marker."""
TITLE = 29
"""Characters per title line of a panel a third of a page wide."""
LABELS = {
    "samples": "samples per estimate",
    "evaluations": "evaluations of f per estimate",
    "seconds_per_estimate": "time per estimate",
    "variance": "variance",
    "estimates_per_second": "estimates per second",
    "batch": "replicates per step",
}


def variance_by_samples(table: pd.DataFrame, order: Sequence[str] | None = None, hue: str = "estimator") -> Figure:
    """Draws variance against samples per problem; the dotted line has slope −1 (independent draws)."""
    return _panels(table, "samples", "variance", order, hue, slope=True)


def variance_by_evaluations(table: pd.DataFrame, order: Sequence[str] | None = None, hue: str = "estimator") -> Figure:
    """Draws variance against evaluations of f per problem; the line is the Pareto front."""
    return _panels(table, "evaluations", "variance", order, hue, front=True)


def variance_by_time(table: pd.DataFrame, order: Sequence[str] | None = None, hue: str = "estimator") -> Figure:
    """Draws variance against seconds per estimate, with intervals.

    The line is the Pareto front: no other estimator has both less variance and less time than a point on it.
    """
    return _panels(table, "seconds_per_estimate", "variance", order, hue, front=True)


def throughput(table: pd.DataFrame, order: Sequence[str] | None = None, hue: str = "estimator") -> Figure:
    """Draws estimates per second against samples per problem, with intervals."""
    return _panels(table, "samples", "estimates_per_second", order, hue)


def throughput_by_batch(table: pd.DataFrame, order: Sequence[str] | None = None, hue: str = "estimator") -> Figure:
    """Draws estimates per second against the batch size (replicates per step), with intervals: it shows saturation.

    Dashed, if measured: the limit, which is the throughput of drawing an estimate's random numbers alone.
    """
    rows = wide_table(table)
    sizes = rows.groupby(["estimator", "problem", "samples"])["batch"].transform("nunique")
    return _panels(rows[sizes > 1], "batch", "estimates_per_second", order, hue, limit="random_seconds_per_estimate")


def _panels(
    table: pd.DataFrame, x: str, y: str, order: Sequence[str] | None, hue: str = "estimator", *, slope: bool = False,
    front: bool = False, limit: str = "",
) -> Figure:  # fmt: skip
    whole = wide_table(table)
    known_hue(whole, hue)
    every = _narrow(whole, x, y, limit)
    rows = every[(every[x].astype(float) > 0) & (every[y] > 0)]
    if rows.empty:
        return empty(f"no positive {LABELS[y]} against {LABELS[x]} in this table")
    problems = list(dict.fromkeys(rows["problem"]))
    style, shown = coloured(whole, ordered(rows["estimator"], order), hue, order)
    with styled():
        down, across = grid_shape(len(problems))
        legend_columns = max(1, min(4, 120 // max(len(shorten(name)) + 6 for name in shown)))
        titles = [on_lines(problem, TITLE) for problem in problems]
        height = 1.85 * down + 0.15 * -(-len(shown) // legend_columns) + 0.45 + title_height(titles, across)
        figure = blank(PAGE_WIDTH, height)
        panels = figure.subplots(down, across, squeeze=False)
        for axes in panels.ravel()[len(problems) :]:
            axes.set_axis_off()
        for axes, problem, title in zip(panels.ravel(), problems, titles, strict=False):
            _panel(axes, rows[rows["problem"] == problem], x, y, style, slope=slope, front=front)
            axes.set_title(title, y=1.0)
            _zeros(axes, every[(every["problem"] == problem) & (every[y] == 0)])
            if limit in rows:
                _limits(axes, rows[rows["problem"] == problem], x, limit, style)
        for axes in panels.ravel()[max(0, len(problems) - across) : len(problems)]:
            axes.set_xlabel(LABELS[x])
        for axes in panels[:, 0]:
            axes.set_ylabel(LABELS[y])
        legend(figure, shown, legend_columns)
        return figure


def title_height(titles: Sequence[str], across: int) -> float:
    """Returns the inches that titles of more than two lines need, over all rows of panels."""
    rows = [titles[i : i + across] for i in range(0, len(titles), across)]
    return sum(0.13 * max(0, *(title.count("\n") - 1 for title in row)) for row in rows)


def known_hue(rows: pd.DataFrame, hue: str) -> None:
    """Raises BadInput if there is no column `hue` to colour by."""
    if hue not in rows:
        raise BadInput(f"there is no column {hue!r} to colour by; {nearest(hue, map(str, rows.columns))}")


def coloured(rows: pd.DataFrame, names: Sequence[str], hue: str, order: Sequence[str] | None) -> tuple[Looks, Looks]:
    """Returns the look of each estimator, and of each legend entry: an estimator, or a value of `hue`."""
    if hue == "estimator":
        return (style := colours_and_markers(names, order)), style
    group = rows.drop_duplicates("estimator").set_index("estimator")[hue].astype(str)
    shown = colours_and_markers(ordered(group.loc[list(names)], None))
    return {name: shown[group[name]] for name in names}, shown


def _narrow(rows: pd.DataFrame, *metrics: str) -> pd.DataFrame:
    """Returns only the columns that a panel draws, because each selection of rows costs time per column."""
    ends = [f"{metric}{end}" for metric in metrics for end in ("", "_low", "_high")]
    return rows[[name for name in dict.fromkeys(["estimator", "problem", "samples", *ends]) if name in rows]]


def _panel(
    axes: Axes, rows: pd.DataFrame, x: str, y: str, style: dict[str, tuple[str, str]], *, slope: bool, front: bool
) -> None:
    """Draws one problem: a line per estimator over its sample sizes, with the intervals that were measured."""
    axes.set(xscale="log", yscale="log")
    line = {"linewidth": 0.6, "linestyle": ":"} if front else {"linewidth": 1.2}
    for name in (name for name in style if name in set(rows["estimator"])):
        mine = rows[rows["estimator"] == name].sort_values(x if x == "batch" else "samples")
        colour, marker = style[name]
        axes.errorbar(
            mine[x].to_numpy(float), mine[y].to_numpy(float), xerr=ends(mine, x), yerr=ends(mine, y), color=colour,
            marker=marker, elinewidth=0.8, **line,
        )  # fmt: skip
    if front:
        _pareto(axes, rows, x, y)
    if slope:
        _slope(axes, rows)
    log_axis(axes.xaxis, seconds=x == "seconds_per_estimate")
    log_axis(axes.yaxis)
    if x in ("samples", "evaluations", "batch"):
        _counted(axes, rows[x].to_numpy(float))


def _counted(axes: Axes, values: np.ndarray) -> None:
    """Sets ticks at the counts in the table, at least a fifth of the axis apart; a single count gets room around it."""
    counts = np.unique(values)
    if len(counts) == 1:
        axes.set_xlim(counts[0] / 2, counts[0] * 2)
    apart, ticks = np.log(counts[-1] / counts[0]) / 5, [counts[0]]
    for count in counts[1:]:
        if np.log(count / ticks[-1]) >= apart:
            ticks.append(count)
    axes.set_xticks(ticks)


def ends(rows: pd.DataFrame, metric: str) -> np.ndarray | None:
    """Returns the interval's lengths below and above, `[2, k]`, 0 for a missing interval; None if all are missing."""
    if f"{metric}_low" not in rows:
        return None
    value = rows[metric].to_numpy(float)
    ends = np.stack([value - rows[f"{metric}_low"].to_numpy(float), rows[f"{metric}_high"].to_numpy(float) - value])
    return np.nan_to_num(np.maximum(ends, 0.0)) if np.isfinite(ends).any() else None


def pareto(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns the indices, by x, of the points that no other point beats in both coordinates (less is better).

    >>> pareto(np.array([1.0, 2.0, 3.0]), np.array([5.0, 6.0, 1.0])).tolist()
    [0, 2]
    """
    order = np.lexsort((y, x))
    lowest = np.minimum.accumulate(np.concatenate([[np.inf], y[order]]))[:-1]
    return order[y[order] < lowest]


def _pareto(axes: Axes, rows: pd.DataFrame, x: str, y: str) -> None:
    across, up = rows[x].to_numpy(float), rows[y].to_numpy(float)
    chosen = pareto(across, up)
    axes.plot(across[chosen], up[chosen], drawstyle="steps-post", color=INK, linewidth=1, zorder=1)
    axes.plot(
        across[chosen], up[chosen], linestyle="", marker="o", markersize=8, markerfacecolor="none",
        markeredgecolor=INK, markeredgewidth=0.8, zorder=4,
    )  # fmt: skip


def _limits(axes: Axes, rows: pd.DataFrame, x: str, limit: str, style: dict[str, tuple[str, str]]) -> None:
    """Draws the throughput of the random numbers alone, a dashed line per estimator."""
    for name in (name for name in style if name in set(rows["estimator"])):
        mine = rows[(rows["estimator"] == name) & (rows[limit] > 0)].sort_values(x)
        if mine.empty:
            continue
        axes.plot(mine[x], 1 / mine[limit], linestyle="--", linewidth=0.6, color=style[name][0], zorder=1)


def _slope(axes: Axes, rows: pd.DataFrame) -> None:
    """Draws the line c ÷ n, a little above the largest variance at the smallest n."""
    smallest, largest = float(rows["samples"].min()), float(rows["samples"].max())
    if smallest == largest:
        return
    top = float(rows.loc[rows["samples"] == smallest, "variance"].max()) * 1.6
    axes.plot(
        [smallest, largest], [top, top * smallest / largest], linestyle=(0, (1, 1.5)), color=BASELINE_COLOUR, zorder=0
    )


LARGEST = 1e308
"""Largest end of an axis, unless a number is larger."""
BEHIND = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}


def with_room(high: float, factor: float) -> float:
    """The end of a logarithmic axis for numbers up to `high`, farther by a factor as long as that is a number."""
    return max(high, min(high * factor, LARGEST))


def _zeros(axes: Axes, rows: pd.DataFrame) -> None:
    """Writes the names of the estimators at 0, which a log axis cannot show."""
    names = ", ".join(shorten(name, 16) for name in dict.fromkeys(rows["estimator"]))
    if names:
        low, high = map(float, axes.get_ylim())
        axes.set_ylim(low, with_room(high, (high / low) ** 0.16))  # for a line of text
        axes.text(
            0.97, 0.96, shorten(f"at 0: {names}", 40), transform=axes.transAxes, fontsize=6, ha="right", va="top",
            bbox=BEHIND,
        )  # fmt: skip


def legend(figure: Figure, style: dict[str, tuple[str, str]], columns: int) -> None:
    """Adds a legend below the panels."""
    handles = [
        Line2D([], [], color=colour, marker=marker, label=shorten(name)) for name, (colour, marker) in style.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, handlelength=1.6, columnspacing=1.2)
