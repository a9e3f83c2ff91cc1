"""A trajectory as a figure, and as a terminal shows it."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from collections.abc import Iterable
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from bench.advice.conclusion import BASELINE as PLAIN
from bench.display.terminal import number
from bench.plots.style import BASELINE_COLOUR, PAGE_WIDTH, blank, colours_and_markers, empty, log_axis, styled


def trajectory_figure(table: pd.DataFrame, winners: dict[int, str], unit: str) -> Figure:
    """Variance × cost against training steps, with 95 % intervals; the winner of each step is ringed."""
    names = figure_names(table, winners.values())
    rows = table[(table["product"] > 0) & table["estimator"].isin(names)]
    if rows.empty:
        return empty("nothing that varies was measured along the training")
    rows = rows.sort_values(["at", "final", "product"], ascending=[True, False, True])
    rows = rows.drop_duplicates(["at", "estimator"])
    style = colours_and_markers(names)
    with styled():
        figure = blank(PAGE_WIDTH, 2.7)
        axes = figure.subplots()
        for name in names:
            mine = rows[rows["estimator"] == name]
            colour, marker = style[name]
            reach = [mine["product"] - mine["product_low"], mine["product_high"] - mine["product"]]
            axes.errorbar(mine["at"], mine["product"], yerr=reach, color=colour, marker=marker, label=name, capsize=2)
            won = mine[mine["at"].map(winners) == name]
            axes.plot(won["at"], won["product"], "o", markersize=9, fillstyle="none", color=BASELINE_COLOUR)
        axes.set_yscale("log")
        log_axis(axes.yaxis)
        axes.set_xlabel("training steps")
        axes.set_ylabel(f"variance × {unit} of a step")
        figure.legend(loc="outside right center")
        return figure


def trajectory_view(found: Any) -> RenderableType:
    """Of a `TrainingAdvice`: for each point the winner, its variance, and how far its mean may be off."""
    table = Table(title=f"Along a training by {escape(found.trained_by)}")
    for name in ("training step", "use", "n", "variance", "mean off by at most", "variance × step", "conclusive"):
        table.add_column(name, justify="left" if name == "use" else "right")
    for at, each in found.answers.items():
        if each.estimator is None:
            table.add_row(str(at), "—", "", "", "", "", "no")
            continue
        own = each.table[(each.table["estimator"] == each.estimator) & (each.table["samples"] == each.samples)].iloc[0]
        cells = (number(own[name]) for name in ("variance", "bias_at_most", "product"))
        said = "yes" if each.conclusive else "no"
        table.add_row(str(at), escape(each.estimator), str(each.samples), *cells, said)
    return Group(table, Text(f"\n{found.sentence}\n", style="bold"))


def figure_names(table: pd.DataFrame, winners: Iterable[str], most: int = 6) -> list[str]:
    """Returns the estimators that a figure shows: the winners, plain REINFORCE, and others that came close."""
    rows = table[table["product"] > 0]
    best = rows.groupby("estimator")["product"].min().sort_values()
    names = dict.fromkeys([*winners, *([PLAIN] if PLAIN in set(rows["estimator"]) else []), *best.index])
    return list(names)[:most]
