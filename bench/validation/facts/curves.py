"""Figures of the facts: the agreement of their numbers, and their curves."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.plots.style import (
    BASELINE_COLOUR,
    INK,
    PAGE_WIDTH,
    PALETTE,
    VERDICTS,
    blank,
    empty,
    grid_shape,
    log_axis,
    shorten,
    styled,
)
from bench.validation.facts.fact import Curve, Picture

LEAST = 1e-16
"""Value at which a resolution of 0 is drawn."""


def agreement_figure(table: pd.DataFrame) -> Figure:
    """Draws a row per fact: the distance of its numbers from the expected values, and their resolutions.

    The distance is in units of half the interval: a number between −1 and 1 is reproduced.
    """
    rows = table[table["relation"] == "="]
    names = list(dict.fromkeys(rows["fact"]))
    if not names:
        return empty("no number was compared with a number")
    place = {name: i for i, name in enumerate(names)}
    half = np.maximum((rows["high"] - rows["low"]).to_numpy(float) / 2, 1e-300)
    apart = np.clip((rows["measured"] - rows["expected"]).to_numpy(float) / half, -2, 2)
    y = rows["fact"].map(place).to_numpy(float)
    held = rows["holds"].to_numpy(bool)
    colour = np.where(held, VERDICTS["unbiased"], VERDICTS["biased"])
    with styled():
        figure = blank(PAGE_WIDTH, 0.17 * len(names) + 0.9)
        left, right = figure.subplots(1, 2, sharey=True)
        left.axvspan(-1, 1, color=BASELINE_COLOUR, alpha=0.12, linewidth=0)
        left.scatter(apart, y, c=colour, s=9, marker="|")
        left.set(xlim=(-2.1, 2.1), xlabel="(measured − expected) ÷ half of the interval")
        left.set_yticks(range(len(names)), [shorten(name.replace("_", " "), 40) for name in names])
        left.set_ylim(len(names) - 0.4, -0.6)
        right.scatter(np.clip(rows["resolution"].to_numpy(float), LEAST, 1), y, c=colour, s=9, marker="|")
        right.set(xscale="log", xlabel="half of the interval, relative")
        log_axis(right.xaxis)
        return figure


def fact_figure(pictures: list[Picture]) -> Figure:
    """Draws a fact's pictures next to each other."""
    with styled():
        down, across = grid_shape(len(pictures), 2)
        entries = max(len(picture.curves) for picture in pictures)
        figure = blank(PAGE_WIDTH if across > 1 else PAGE_WIDTH * 0.62, (2.3 + 0.08 * entries) * down)
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for axes in panels[len(pictures) :]:
            axes.set_axis_off()
        for axes, picture in zip(panels, pictures, strict=False):
            _draw(axes, picture)
        return figure


def _draw(axes: Axes, picture: Picture) -> None:
    axes.set(title=picture.title, xlabel=picture.x, ylabel=picture.y)
    shades: dict[str, str] = {}
    for curve in picture.curves:
        _curve(axes, curve, shades.setdefault(curve.label.split(",")[0], PALETTE[len(shades) % len(PALETTE)]))
    if "x" in picture.log:
        axes.set_xscale("log")
        log_axis(axes.xaxis)
    if "y" in picture.log:
        axes.set_yscale("log")
        log_axis(axes.yaxis)
    if any(curve.label and curve.style != "tiles" for curve in picture.curves):
        axes.legend(fontsize=6)


def _curve(axes: Axes, curve: Curve, colour: str) -> None:
    """Draws a curve. Labels with the same first part share a colour; dashed curves are the expected values."""
    x, y = np.array(curve.x, float), np.array(curve.y, float)
    label = shorten(curve.label, 40) or None
    if curve.style == "tiles":
        axes.plot(x, y, linestyle="")  # a text alone moves no axis
        axes.margins(0.14)
        for place in zip(x, y, strict=True):
            box = {"boxstyle": "round,pad=0.35", "facecolor": colour, "linewidth": 0}
            axes.text(*place, curve.label, ha="center", va="center", fontsize=5.5, color="white", bbox=box)
        return
    if curve.style == "points":
        ends = None if not curve.low else np.abs(np.array([y - curve.low, np.array(curve.high) - y]))
        axes.errorbar(x, y, yerr=ends, color=colour, marker="o", markersize=3, linestyle="", capsize=1.5, label=label)
        return
    if curve.low:
        axes.fill_between(x, curve.low, curve.high, color=colour, alpha=0.2, linewidth=0)
    dashed = {"linestyle": (0, (3, 1.5)), "color": INK if not label else colour}
    steps = {"drawstyle": "steps-mid"} if curve.style == "steps" else {}
    axes.plot(x, y, label=label, **{"color": colour, **steps, **(dashed if curve.style == "dashed" else {})})
