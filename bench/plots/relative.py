"""Variance relative to a baseline: a heat map over problems."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from bench.analysis.comparison import EQUAL_WORDS, Comparison, compare_estimators
from bench.plots.matrices import label_matrix, matrix_size, ordered
from bench.plots.style import blank, empty, log_axis, plain_number, shorten, styled
from bench.statistics.interval import Interval
from bench.statistics.over_problems import mean_ratio
from bench.tables.wide import wide_table


def relative_variance(
    table: pd.DataFrame,
    baseline: str | None = None,
    equal: str = "samples",
    order: Sequence[str] | None = None,
    *,
    compared: Comparison | None = None,
) -> Figure:
    """Draws variance ÷ the baseline's on each problem, with its interval; the mean over sample sizes on the log scale.

    A question mark: the interval contains 1. Grey: one of the two was not measured.

    Args:
        table: A table of results.
        baseline: The estimator to compare with. Default: reinforce.
        equal: The quantity held equal: samples, evaluations or seconds.
        order: Names of estimators, in the order to show them. Default: the table's.
        compared: The finished comparison, which may cover more problems than `table`. Default: made from `table`.

    Raises:
        BadInput: The baseline does not exist.
    """
    if table.empty:
        return empty("no cells in this table")
    rows = wide_table(table)
    comparison = compared or compare_estimators(rows, baseline=baseline)
    pairs = comparison.pairs[(comparison.pairs["equal"] == equal) & comparison.pairs["problem"].isin(rows["problem"])]
    if pairs.empty:
        return empty(f"no variance at {EQUAL_WORDS[equal]} to compare with {comparison.baseline}")
    ratios, notes = _ratios(pairs, order)
    with styled():
        figure = blank(*matrix_size(ratios, cell=0.64, row=0.3))
        axes = figure.subplots()
        axes.set_facecolor("#ececec")
        limit = _limit(ratios)
        sns.heatmap(
            ratios.clip(1 / limit, limit), ax=axes, norm=LogNorm(1 / limit, limit), cmap="vlag", linewidths=1,
            linecolor="white", xticklabels=False, yticklabels=False, annot=notes, fmt="",
            annot_kws={"fontsize": 6, "linespacing": 1.1, "in_layout": False},
            cbar_kws={"shrink": 0.7, "aspect": 18, "pad": 0.01},
        )  # fmt: skip
        label_matrix(axes, ratios)
        bar = axes.collections[0].colorbar
        assert bar is not None
        bar.set_label(f"variance ÷ {shorten(comparison.baseline)}'s\nat {EQUAL_WORDS[equal]}")
        log_axis(bar.ax.yaxis)
        return figure


def _ratios(pairs: pd.DataFrame, order: Sequence[str] | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Returns the ratio of each estimator on each problem, and the text of its cell: the ratio, then its interval."""
    numbers, texts = {}, {}
    for key, group in pairs.groupby(["estimator", "problem"], sort=False):
        ratio = mean_ratio(Interval.of_columns(group, "ratio"), list(group["problem"])).measured
        numbers[key], texts[key] = float(ratio.value), _text(ratio)
    rows, columns = ordered(pairs["estimator"], order), list(dict.fromkeys(pairs["problem"]))

    def frame(values: dict) -> pd.DataFrame:
        return pd.DataFrame([[values.get((row, column)) for column in columns] for row in rows], rows, columns)

    return frame(numbers).astype(float), frame(texts).fillna("")


def _text(ratio: Interval) -> str:
    value, low, high = (plain_number(float(each)) for each in ratio)
    unclear = ratio.low <= 1 <= ratio.high and ratio.low < ratio.high
    interval = f"\n{low}–{high}" if ratio.low < ratio.high else ""
    if len(interval) > 12 and ratio.low > 0:  # too long for a cell
        down, up = ratio.low / ratio.value, ratio.high / ratio.value
        interval = f"\n±{max(1 - down, up - 1):.1%}" if up < 2 * down else f"\n×{down:.2g}–{up:.3g}"
    return f"{value}{' ?' if unclear else ''}{interval}"


def _limit(ratios: pd.DataFrame) -> float:
    """Returns the end of a colour range symmetric about 1 (log scale): the largest finite ratio, 2 to 1000."""
    finite = ratios.to_numpy()[np.isfinite(ratios) & (ratios > 0)]
    largest = np.exp(np.abs(np.log(finite)).max()) if len(finite) else 10.0
    return float(np.clip(largest, 2.0, 1000.0))
