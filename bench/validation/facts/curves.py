"""Figures of the facts: the agreement of their numbers, and their curves."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

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
MAP_COLOURS = (*PALETTE, "#7f7f7f")
"""Colours of a map's cells, for up to nine labels."""


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
    if any(curve.style == "tiles" for curve in picture.curves):
        _tiles(axes, picture)
        return
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
    if any(curve.label for curve in picture.curves):
        axes.legend(fontsize=6)


def _tiles(axes: Axes, picture: Picture) -> None:
    """Draws a map: a cell for each pair of values, evenly spaced, with the colour and the label of its curve."""
    axes.set(title=picture.title, xlabel=picture.x, ylabel=picture.y)
    across, down = (sorted({v for curve in picture.curves for v in getattr(curve, name)}) for name in ("x", "y"))
    for number, curve in enumerate(picture.curves):
        for x, y in zip(curve.x, curve.y, strict=True):
            place = (across.index(x), down.index(y))
            colour = MAP_COLOURS[number % len(MAP_COLOURS)]
            axes.add_patch(Rectangle((place[0] - 0.48, place[1] - 0.46), 0.96, 0.92, color=colour, linewidth=0))
            axes.text(*place, curve.label, ha="center", va="center", fontsize=6, color=text_on(colour))
    axes.set(xlim=(-0.5, len(across) - 0.5), ylim=(-0.5, len(down) - 0.5))
    axes.set_xticks(range(len(across)), [f"{value:g}" for value in across])
    axes.set_yticks(range(len(down)), [f"{value:g}" for value in down])
    axes.tick_params(length=0)
    axes.grid(visible=False)


def text_on(colour: str) -> str:
    """Returns black or white, whichever has more contrast with a colour (WCAG 2.1, relative luminance).

    >>> text_on("#ffffff"), text_on("#222222")
    ('black', 'white')
    """
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in to_rgb(colour)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "white"


def _curve(axes: Axes, curve: Curve, colour: str) -> None:
    """Draws a curve. Labels with the same first part share a colour; dashed curves are the expected values."""
    x, y = np.array(curve.x, float), np.array(curve.y, float)
    label = shorten(curve.label, 40) or None
    if curve.style == "points":
        ends = None if not curve.low else np.abs(np.array([y - curve.low, np.array(curve.high) - y]))
        axes.errorbar(x, y, yerr=ends, color=colour, marker="o", markersize=3, linestyle="", capsize=1.5, label=label)
        return
    if curve.low:
        axes.fill_between(x, curve.low, curve.high, color=colour, alpha=0.2, linewidth=0)
    dashed = {"linestyle": (0, (3, 1.5)), "color": INK if not label else colour}
    steps = {"drawstyle": "steps-mid"} if curve.style == "steps" else {}
    axes.plot(x, y, label=label, **{"color": colour, **steps, **(dashed if curve.style == "dashed" else {})})
