"""Estimator × problem matrices: the status of the cells, and the bias verdicts."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bench.plots.style import PAGE_WIDTH, STATUSES, VERDICTS, blank, bound_text, empty, on_lines, shorten, styled
from bench.tables.wide import wide_table

MARKS = {
    "ok": "", "not_applicable": "", "failed": "F", "timeout": "T", "crashed": "C", "out_of_memory": "M",
    "nonfinite": "N", "unbiased": "", "unclear": "?", "biased": "B", "": "",
}  # fmt: skip
"""A letter per status or verdict, so that cells can be told apart without colour."""


def outcome_matrix(table: pd.DataFrame, order: Sequence[str] | None = None) -> Figure:
    """Draws the status of each estimator on each problem: the worst over the numbers of samples.

    A cell is not applicable only if it is so for all numbers of samples.
    """
    rows = wide_table(table)
    return _matrix(rows.assign(shown=rows["status"]), STATUSES, order, "no cells in this table")


def bias_matrix(table: pd.DataFrame, order: Sequence[str] | None = None) -> Figure:
    """Draws the bias verdict of each estimator on each problem: `biased` if it is biased at any number of samples.

    An unclear field says which bound was reached: the largest upper end of the intervals of the relative bias.
    """
    rows = wide_table(table)
    rows = rows[rows["verdict"].isin(list(VERDICTS))]
    shown = rows.assign(shown=rows["verdict"])
    return _matrix(shown, VERDICTS, order, "no bias verdicts in this table", texts=_bounds(rows))


def _bounds(rows: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Returns the bound that was reached for each estimator and problem with an unclear verdict, if there is one."""
    reached = rows.loc[(rows["verdict"] == "unclear") & np.isfinite(rows["relative_bias_high"].astype(float))]
    largest = reached.groupby(["estimator", "problem"], observed=True)["relative_bias_high"].max()
    return {key: f"≤{bound_text(float(value))}" for key, value in largest.items()}


def _matrix(
    rows: pd.DataFrame, colours: Mapping[str, str], order: Sequence[str] | None, nothing: str, *,
    texts: Mapping[tuple[str, str], str] | None = None,
) -> Figure:  # fmt: skip
    """Draws the worst status or verdict in column `shown`; `texts`: what an unclear field says in place of its mark."""
    if rows.empty:
        return empty(nothing)
    ranks = {word: rank for rank, word in enumerate(colours)}
    worst = rows.assign(rank=rows["shown"].map(ranks)).pivot_table("rank", "estimator", "problem", "max", observed=True)
    worst = worst.reindex(index=ordered(rows["estimator"], order), columns=list(dict.fromkeys(rows["problem"])))
    with styled():
        figure = blank(*matrix_size(worst, cell=0.4 if texts else 0.3))
        axes = figure.subplots()
        words = [*colours]
        marks = worst.map(lambda rank: MARKS[words[int(rank)]] if pd.notna(rank) else "")
        for (name, problem), text in (texts or {}).items():
            if marks.loc[name, problem] == MARKS["unclear"]:
                marks.loc[name, problem] = text
        sns.heatmap(
            worst, ax=axes, cmap=ListedColormap(list(colours.values())), vmin=-0.5, vmax=len(words) - 0.5, cbar=False,
            xticklabels=False, yticklabels=False,
            linewidths=1, linecolor="white", annot=marks, fmt="",
            annot_kws={"fontsize": 6 if texts else 7, "in_layout": False},
        )  # fmt: skip
        label_matrix(axes, worst, narrow=worst.shape[1] > 8)
        present = [word for word in words if (worst == ranks[word]).any().any()]
        handles = [Patch(color=colours[word], label=_legend(word)) for word in present]
        figure.legend(handles=handles, loc="outside upper right", ncols=len(handles), handlelength=1)
        return figure


def _legend(word: str) -> str:
    if word == "unclear":
        return "unclear (≤ bound on the relative bias)"
    mark = f" ({MARKS[word]})" if MARKS[word] else ""
    return word.replace("_", " ") + mark


def ordered(names: pd.Series, order: Sequence[str] | None) -> list[str]:
    """Returns the distinct names: first those in `order`, in that order, then the others in the table's order."""
    present = list(dict.fromkeys(names))
    wanted = [name for name in order or () if name in present]
    return wanted + [name for name in present if name not in wanted]


def matrix_size(matrix: pd.DataFrame, cell: float, row: float = 0.2) -> tuple[float, float]:
    """Returns width and height in inches; a large matrix gives a large figure, so that its text stays legible."""
    rows, columns = matrix.shape
    longest = max(len(shorten(str(name))) for name in matrix.index)
    return max(PAGE_WIDTH, 0.075 * longest + cell * columns + 0.4), row * rows + 2.1


def label_matrix(axes: Axes, matrix: pd.DataFrame, *, narrow: bool = False) -> None:
    """Labels the rows with estimators and the columns with problems, on two lines, or on one for narrow columns.

    Replaces seaborn's own labels, which would draw through pyplot.
    """
    axes.set(xlabel="", ylabel="")
    axes.grid(False)
    axes.set_yticks(np.arange(len(matrix.index)) + 0.5, [shorten(str(name)) for name in matrix.index], rotation=0)
    names = [on_lines(str(name), 48 if narrow else 34, most=4) for name in matrix.columns]
    axes.set_xticks(
        np.arange(len(names)) + 0.5, names, rotation=50 if narrow else 40, ha="right", rotation_mode="anchor"
    )
    axes.tick_params(length=0)
