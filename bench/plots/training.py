"""Variance along the training of a model, and the cost of fitting an estimator."""

# pyright: reportAssignmentType=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.plots.matrices import ordered
from bench.plots.panels import TITLE, coloured, ends, known_hue, legend, title_height
from bench.plots.style import PAGE_WIDTH, blank, empty, grid_shape, log_axis, on_lines, shorten, styled
from bench.tables.wide import wide_table


def trajectory(table: pd.DataFrame, order: Sequence[str] | None = None, hue: str = "estimator") -> Figure:
    """Draws variance along the training trajectory, with intervals, for models measured at two or more points.

    Uses the smallest number of samples that was measured at several points.
    """
    rows = wide_table(table)
    known_hue(rows, hue)
    rows = on_trajectory(rows)
    if rows.empty:
        return empty("no model was measured at two points of its training")
    models = list(dict.fromkeys(rows["model"]))
    style, shown = coloured(rows, ordered(rows["estimator"], order), hue, order)
    with styled():
        down, across = grid_shape(len(models))
        columns = max(1, min(4, 120 // max(len(shorten(name)) + 6 for name in shown)))
        titles = [on_lines(model, TITLE) for model in models]
        height = 1.85 * down + 0.15 * -(-len(shown) // columns) + 0.45 + title_height(titles, across)
        figure = blank(PAGE_WIDTH, height)
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for axes in panels[len(models) :]:
            axes.set_axis_off()
        for axes, model, title in zip(panels, models, titles, strict=False):
            _turns(axes, rows[rows["model"] == model], style)
            axes.set_title(title, y=1.0)
            axes.set_ylabel("variance" if axes.get_subplotspec().is_first_col() else "")
        legend(figure, shown, columns)
        return figure


def on_trajectory(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns the cells on a trajectory, with columns `model` (the problem without its point) and `turn`."""
    rows = rows[(rows["variance"] > 0) & rows["point"].map(turn).notna()]
    point = rows["point"].astype(str)
    model = [label.replace(f", {name}", "", 1) for label, name in zip(rows["problem"], point, strict=True)]
    rows = rows.assign(model=model, turn=point.map(turn).astype(float))
    points = rows.groupby(["model", "samples", "estimator"])["point"].transform("nunique")
    rows = rows[points > 1]
    return rows[rows["samples"] == rows.groupby("model")["samples"].transform("min")]


def turn(point: str) -> float | None:
    """Returns the position of a named point in training, from 0 to 1, or None if it is not a training point.

    >>> turn("start") < turn("step_10") < turn("step_200") < turn("trained"), turn("extreme")
    (True, None)
    """
    number = re.fullmatch(r"(?:step_?)?(\d+)", point)
    if number:
        return 1 - 1 / (2 + float(number[1]))
    return {"start": 0.0, "default": 0.0, "trained": 1.0, "peaked": 1.0}.get(point)


def _turns(axes: Axes, rows: pd.DataFrame, style: dict[str, tuple[str, str]]) -> None:
    points = rows.sort_values("turn")["point"].astype(str).unique()
    for name in (name for name in style if name in set(rows["estimator"])):
        mine = rows[rows["estimator"] == name].sort_values("turn")
        x = [list(points).index(point) for point in mine["point"]]
        colour, marker = style[name]
        axes.errorbar(
            x,
            mine["variance"].to_numpy(float),
            yerr=ends(mine, "variance"),
            color=colour,
            marker=marker,
            elinewidth=0.8,
        )
    axes.set_yscale("log")
    log_axis(axes.yaxis)
    axes.set_xticks(range(len(points)), points)
    axes.set_xlim(-0.3, len(points) - 0.7)
    axes.set_xlabel(f"point, n = {int(rows['samples'].iloc[0])}")


def fitting(table: pd.DataFrame, order: Sequence[str] | None = None, hue: str = "estimator") -> Figure:
    """Draws the cost of fitting: seconds, and the number of estimates possible in that time.

    One dot per problem and number of samples. Fitting is timed once, so there is no interval.
    """
    rows = wide_table(table)
    known_hue(rows, hue)
    rows = rows[rows["fit_seconds"] > 0]
    if rows.empty:
        return empty("no estimator was fitted")
    names = ordered(rows["estimator"], order)
    paid = rows["fit_seconds"] / rows["seconds_per_estimate"]
    shown = {"seconds of fitting, once": rows["fit_seconds"], "estimates in the same time": paid}
    shown = {label: values for label, values in shown.items() if values.notna().any()}
    style, _ = coloured(rows, names, hue, order)
    with styled():
        figure = blank(PAGE_WIDTH, 0.24 * len(names) + 0.8)
        panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
        for axes, (label, values) in zip(panels, shown.items(), strict=True):
            for place, name in enumerate(names):
                mine = values[rows["estimator"] == name].dropna().to_numpy(float)
                colour, marker = style[name]
                axes.plot(mine, np.full(len(mine), place), linestyle="", marker=marker, color=colour, alpha=0.8)
            axes.set(xscale="log", xlabel=label)
            log_axis(axes.xaxis)
        panels[0].set_yticks(range(len(names)), [shorten(name) for name in names])
        panels[0].set_ylim(len(names) - 0.5, -0.5)
        return figure
