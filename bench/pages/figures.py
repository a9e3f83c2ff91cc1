"""The figures of the report, drawn in parts by several processes."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import BaseContext
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from bench import plots
from bench.analysis.comparison import EQUAL, Comparison
from bench.analysis.ranking import Rankings
from bench.pages.svg import inline
from bench.plots.matrices import ordered
from bench.plots.style import as_svg
from bench.plots.training import on_trajectory
from bench.tables.derived import with_limit
from estimators.errors import BadInput

MAX_PANELS, MAX_COLUMNS, MAX_SERIES = 12, 7, 8
"""Maximum number of problems in a figure of small multiples and in a matrix (further problems go into further
figures), and of estimators in a panel."""


PARALLEL_FROM = 16
"""Number of figures from which starting several processes pays off."""


@dataclass(frozen=True)
class Drawing:
    """A figure of the page: its file name without the suffix, its caption, and the function that draws it."""

    name: str
    caption: str
    draw: Callable[[pd.DataFrame, list[str]], Figure]
    needs: str
    """The column that must have been measured."""
    problems: int = MAX_PANELS
    series: int | None = None
    """Maximum number of estimators in a panel, besides the baseline: those of least variance."""


@dataclass(frozen=True)
class DrawnFigure:
    """A drawn figure, as passed to the template."""

    name: str
    caption: str
    svg: Markup


def drawings(found: Comparison, ranked: Rankings) -> tuple[Drawing, ...]:
    """Returns every figure of the page, in order."""
    return (
        *(Drawing(f"ranking_{equal}", f"Variance ÷ the baseline's at equal {_way(equal)}, a panel for each kind of "
                  "problem: any two estimators are compared on the problems that they share. Thick: 95 % interval of "
                  "the noise of measuring; thin: of the choice of problems. Below the line: estimators that share too "
                  "few problems, or have no variance.",
                  partial(_ranking, ranked, equal), metric, 10**6)
          for equal, metric in EQUAL.items()),
        Drawing("outcome_matrix", "Status of the cells: the worst over the numbers of samples. Point at a cell for "
                "the reason, click to open it.",
                plots.outcome_matrix, "status", 3 * MAX_COLUMNS),
        Drawing("bias_matrix", "Bias verdicts: biased if the estimator is biased at any number of samples. "
                "Unbiased means that the bias was shown to be below the requested resolution.",
                plots.bias_matrix, "relative_bias", 3 * MAX_COLUMNS),
        Drawing("scale_and_cosine", "Error of the biased estimators, with 95 % intervals: left of the line the mean "
                "estimate is too short, below the top its direction is wrong.", plots.scale_and_cosine, "scale", 10**6),
        *(Drawing(f"relative_variance_{equal}", f"Variance ÷ the baseline's at equal {_way(equal)}; below it the 95 % "
                  "interval (if it is wide, as ± or as factors ×), with a question mark if it contains 1. Grey: not "
                  "measured on both.",
                  partial(_relative, found, equal), metric, MAX_COLUMNS)
          for equal, metric in EQUAL.items()),
        Drawing("variance_by_samples", "Variance against samples, with 95 % intervals; the dotted line falls as 1 ÷ n.",
                plots.variance_by_samples, "variance", MAX_PANELS, MAX_SERIES),
        Drawing("variance_by_evaluations", "Variance against evaluations of f. The line is the Pareto front: no "
                "estimator is better than its points (ringed) in both.", plots.variance_by_evaluations, "evaluations",
                MAX_PANELS, MAX_SERIES),
        Drawing("variance_by_time", "Variance against time, with 95 % intervals; the line is the Pareto front.",
                plots.variance_by_time, "seconds_per_estimate", MAX_PANELS, MAX_SERIES),
        Drawing("trajectory", "Variance along the training trajectory, with 95 % intervals.", plots.trajectory, "turn",
                3 * MAX_PANELS, MAX_SERIES),
        Drawing("throughput", "Estimates per second, with 95 % intervals.", plots.throughput, "estimates_per_second",
                MAX_PANELS, MAX_SERIES),
        Drawing("throughput_by_batch", "Estimates per second against the replicates of a step, with 95 % intervals; "
                "dashed, if measured: the limit set by drawing only the random numbers.",
                plots.throughput_by_batch, "batches", MAX_PANELS, MAX_SERIES),
        Drawing("distance_from_limit", "Time per estimate ÷ time of drawing only its random numbers, with 95 % "
                "intervals; a dot per problem and number of samples.",
                plots.distance_from_limit, "times_of_limit", 10**6),
        Drawing("fitting", "Cost of fitting, once per problem: seconds, and the number of estimates in the same time.",
                plots.fitting, "fit_seconds", 10**6),
    )  # fmt: skip


def _ranking(ranked: Rankings, equal: str, rows: pd.DataFrame, order: list[str]) -> Figure:
    return plots.ranking(rows, equal=equal, ranked=ranked)


def _relative(found: Comparison, equal: str, rows: pd.DataFrame, order: list[str]) -> Figure:
    return plots.relative_variance(rows, equal=equal, order=order, compared=found)


def _way(equal: str) -> str:
    return {"samples": "samples", "evaluations": "evaluations", "seconds": "time"}[equal]


def drawn_figures(
    every: Sequence[Drawing], rows: pd.DataFrame, order: list[str], folder: Path | None, jobs: int
) -> dict[str, list[DrawnFigure]]:
    """Draws all figures.

    Args:
        every: The drawings of the page.
        rows: The cells, one row each.
        order: Names of the estimators, the baseline first.
        folder: Folder for PNG and SVG files. None: no files.
        jobs: Number of processes.

    Returns:
        The figures by the name of their drawing; an empty list if the drawing's column was not measured.

    Raises:
        BadInput: A process that draws ended early.
    """
    parts = [part for drawing in every for part in parts_of(drawing, rows, order, folder)]
    shown = _side_by_side(parts, jobs) if jobs > 1 and len(parts) >= PARALLEL_FROM else [part.shown() for part in parts]
    found: dict[str, list[DrawnFigure]] = {drawing.name: [] for drawing in every}
    for part, figure in zip(parts, shown, strict=True):
        found[part.drawing.name].append(figure)
    return found


def _side_by_side(parts: list["FigurePart"], jobs: int) -> list[DrawnFigure]:
    """Draws the figures with `jobs` processes; returns them in the order of `parts`."""
    try:
        with ProcessPoolExecutor(jobs, _processes()) as pool:
            return list(pool.map(FigurePart.shown, parts))
    except BrokenProcessPool:
        raise BadInput(
            "a process that draws figures ended early; in a script, call bench.report under "
            '`if __name__ == "__main__":`, or with jobs=1'
        ) from None


def _processes() -> BaseContext:
    """Returns a process context; where the system allows, the processes share one import of this module."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


@dataclass(frozen=True)
class FigurePart:
    """One of the figures that a drawing needs for all its problems: number `number` of `parts`."""

    drawing: Drawing
    rows: pd.DataFrame
    order: list[str]
    folder: Path | None
    number: int
    parts: int

    def shown(self) -> DrawnFigure:
        """Draws the figure, and writes its files if there is a folder."""
        drawing, order = self.drawing, self.order
        name = drawing.name if self.parts == 1 else f"{drawing.name}-{self.number}"
        leading = leaders(self.rows, order[0], drawing.series) if drawing.series else self.rows
        figure = drawing.draw(leading, order)
        caption = drawing.caption + (f" Part {self.number} of {self.parts}." if self.parts > 1 else "")
        if len(leading) < len(self.rows):
            caption += (
                f" On each problem: {order[0]} and the {drawing.series} estimators of least variance. "
                "The table has all."
            )
        svg = as_svg(figure)
        if self.folder is not None:
            (self.folder / f"{name}.svg").write_text(svg, encoding="utf-8")
            plots.save(figure, self.folder / f"{name}.png")
        over = outcome_fields(figure, self.rows, order) if drawing.draw is plots.outcome_matrix else Markup()
        return DrawnFigure(name, caption, inline(svg, name, caption, over))


def parts_of(drawing: Drawing, rows: pd.DataFrame, order: list[str], folder: Path | None) -> list[FigurePart]:
    """Splits a drawing into figures of at most `drawing.problems` problems; none if its column was not measured."""
    if rows.empty or not rows[drawing.needs].notna().any():
        return []
    problems = list(dict.fromkeys(rows.loc[rows[drawing.needs].notna(), "problem"]))
    parts = [problems[i : i + drawing.problems] for i in range(0, len(problems), drawing.problems)]
    return [
        FigurePart(drawing, rows[rows["problem"].isin(part)], order, folder, i + 1, len(parts))
        for i, part in enumerate(parts)
    ]


def outcome_fields(figure: Figure, rows: pd.DataFrame, order: list[str]) -> Markup:
    """Returns the position of the outcome matrix, for the browser, which puts a link over each field and shows the
    reason on hover. Keyboard users have the table below instead."""
    width, height = figure.get_size_inches() * 72
    box = figure.axes[0].get_position()
    place = (box.x0 * width, (1 - box.y1) * height, box.width * width, box.height * height)
    return Markup('<g class="fields" data-box="{}" data-estimators="{}" data-problems="{}"></g>').format(
        " ".join(f"{number:.1f}" for number in place),
        json.dumps(ordered(rows["estimator"], order)),
        json.dumps(list(dict.fromkeys(rows["problem"]))),
    )


def _marked(rows: pd.DataFrame) -> pd.DataFrame:
    """Adds the columns of figures that need more than a metric: `turn`, `batches` and `times_of_limit`, which are null
    for other cells."""
    turns = on_trajectory(rows)["turn"] if len(rows) else None
    sizes = rows.groupby(["estimator", "problem", "samples"])["batch"].transform("nunique") if len(rows) else None
    rows = rows.assign(turn=turns, batches=sizes.where(sizes > 1) if sizes is not None else None)
    return with_limit(rows) if len(rows) else rows


def leaders(rows: pd.DataFrame, baseline: str, most: int) -> pd.DataFrame:
    """Returns the cells of the baseline and, on each problem, of the `most` estimators with the least variance.

    The variance is at equal time if that was measured, and averaged over the numbers of samples on the log scale.
    """
    metric = "work_normalised_variance" if rows["work_normalised_variance"].notna().any() else "variance"
    with np.errstate(divide="ignore"):
        level = np.log(rows[metric]).groupby([rows["problem"], rows["estimator"]]).mean()
    best = level.groupby("problem").rank(method="first") <= most
    chosen = set(best[best].index)
    pairs = zip(rows["problem"], rows["estimator"], strict=True)
    return rows[[estimator == baseline or (problem, estimator) in chosen for problem, estimator in pairs]]
