"""The figures of the report as files beside the page, drawn in parts by several processes."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.context import BaseContext
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench import plots
from bench.analysis.comparison import EQUAL, Comparison
from bench.analysis.ranking import Rankings
from bench.plots.style import as_svg
from bench.plots.training import on_trajectory
from bench.system.optional import has_fork
from bench.tables.derived import with_limit
from bench.tables.sizes import problem_sizes
from bench.tables.writing import replace_text
from estimators.errors import BadInput

MAX_PANELS, MAX_COLUMNS, MAX_SERIES = 12, 7, 8
"""Maximum number of problems in a figure of small multiples and in a matrix (further problems go into further
figures), and of estimators in a panel."""


PARALLEL_FROM = 16
"""Number of figures from which starting several processes pays off."""


@dataclass(frozen=True)
class Drawing:
    """A figure: its file name without the suffix, its caption on the page, and the function that draws the files."""

    name: str
    caption: str
    draw: Callable[[pd.DataFrame, list[str]], Figure]
    needs: str
    """The column that must have been measured."""
    problems: int = MAX_PANELS
    series: int | None = None
    """Maximum number of estimators in a panel of the files, besides the baseline: those of least variance."""
    view: str = ""
    """The figure of the page that shows the same, a function of `templates/views.js`. Default: the name."""
    equal: str = ""
    """The quantity held equal at which the page shows it. Default: always."""

    @property
    def shown_as(self) -> str:
        """The name of the page's figure."""
        return self.view or self.name


def drawings(found: Comparison, ranked: Rankings) -> tuple[Drawing, ...]:
    """Returns every figure, in order."""
    return (
        *(Drawing(f"ranking_{equal}", f"Variance ÷ the baseline's at equal {_way(equal)}, a panel for each kind of "
                  "problem: any two estimators are compared on the problems that they share. Thick: 95 % interval of "
                  "the noise of measuring; thin: of the choice of problems. Orange squares: shown biased on some "
                  "problem. Point at an estimator to see it everywhere on this page.",
                  partial(_ranking, ranked, equal), metric, 10**6, view="ranking", equal=equal)
          for equal, metric in EQUAL.items()),
        Drawing("outcome_matrix", "Status of the cells: the worst over the numbers of samples. Point at a cell for "
                "the reason, click to open it.",
                plots.outcome_matrix, "status", 3 * MAX_COLUMNS),
        Drawing("bias_matrix", "Bias verdicts, the worst over the numbers of samples. Biased: the largest relative "
                "bias. Unclear: ≤ and the bound that was reached, the upper end of the 95 % interval of the relative "
                "bias (with a star: of the bias itself, where the gradient is too near to 0). Unbiased (✓): shown to "
                "be below the requested resolution.",
                plots.bias_matrix, "relative_bias", 3 * MAX_COLUMNS),
        Drawing("scale_and_cosine", "Error of the biased estimators, with 95 % intervals: left of the line the mean "
                "estimate is too short, below the top its direction is wrong.", plots.scale_and_cosine, "scale", 10**6),
        *(Drawing(f"relative_variance_{equal}", f"Variance ÷ the baseline's at equal {_way(equal)}: the mean over the "
                  "numbers of samples on the log scale. A question mark: the 95 % interval contains 1. Point at a "
                  "cell for its interval. Empty: not measured on both.",
                  partial(_relative, found, equal), metric, MAX_COLUMNS, view="relative_variance", equal=equal)
          for equal, metric in EQUAL.items()),
        Drawing("variance_by_samples", "Vertical: variance. Horizontal: samples per estimate. The dotted line falls "
                "as 1 ÷ n. Named: the estimators of least variance, and the baseline.",
                plots.variance_by_samples, "variance", MAX_PANELS, MAX_SERIES, view="variance", equal="samples"),
        Drawing("variance_by_evaluations", "Vertical: variance. Horizontal: evaluations of f per estimate. The line "
                "is the Pareto front: no estimator is better than its points in both.",
                plots.variance_by_evaluations, "evaluations", MAX_PANELS, MAX_SERIES, view="variance",
                equal="evaluations"),
        Drawing("variance_by_time", "Vertical: variance. Horizontal: time per estimate. The line is the Pareto front: "
                "no estimator is better than its points in both.", plots.variance_by_time, "seconds_per_estimate",
                MAX_PANELS, MAX_SERIES, view="variance", equal="seconds"),
        Drawing("trajectory", "Variance along the training trajectory, with 95 % intervals.", plots.trajectory, "turn",
                3 * MAX_PANELS, MAX_SERIES),
        Drawing("throughput", "Vertical: estimates per second, with 95 % intervals. Horizontal: samples per estimate.",
                plots.throughput, "estimates_per_second", MAX_PANELS, MAX_SERIES),
        Drawing("throughput_by_batch", "Vertical: estimates per second, with 95 % intervals. Horizontal: replicates of "
                "a step. Dashed, if measured: the limit set by drawing only the random numbers.",
                plots.throughput_by_batch, "batches", MAX_PANELS, MAX_SERIES),
        Drawing("distance_from_limit", "Time per estimate ÷ time of drawing only its random numbers, with 95 % "
                "intervals; a dot per problem and number of samples.",
                plots.distance_from_limit, "times_of_limit", 10**6),
        Drawing("fitting", "Cost of fitting, once per problem: the number of estimates in the same time.",
                plots.fitting, "fit_seconds", 10**6),
    )  # fmt: skip


def _ranking(ranked: Rankings, equal: str, rows: pd.DataFrame, order: list[str]) -> Figure:
    return plots.ranking(rows, equal=equal, ranked=ranked)


def _relative(found: Comparison, equal: str, rows: pd.DataFrame, order: list[str]) -> Figure:
    return plots.relative_variance(rows, equal=equal, order=order, compared=found)


def _way(equal: str) -> str:
    return {"samples": "samples", "evaluations": "evaluations", "seconds": "time"}[equal]


@contextmanager
def writing_figures(
    every: Sequence[Drawing], rows: pd.DataFrame, order: list[str], folder: Path, jobs: int
) -> Iterator[None]:
    """Writes all figures as PNG and SVG files, in other processes while the body of the `with` statement runs.

    Args:
        every: The drawings.
        rows: The cells, one row each.
        order: Names of the estimators, the baseline first.
        folder: Folder for the files.
        jobs: Number of processes.

    Raises:
        BadInput: A process that draws ended early.
    """
    parts = [part for drawing in every for part in parts_of(drawing, rows, order, folder)]
    if jobs == 1 or len(parts) < PARALLEL_FROM:
        for part in parts:
            part.write()
        yield
        return
    try:
        with ProcessPoolExecutor(jobs, _processes()) as pool:
            drawn = pool.map(FigurePart.write, parts)
            yield
            list(drawn)
    except BrokenProcessPool:
        raise BadInput(
            "a process that draws figures ended early; in a script, call bench.report under "
            '`if __name__ == "__main__":`, or with jobs=1'
        ) from None


def _processes() -> BaseContext:
    """Returns a process context; where the system allows, the processes share one import of this module."""
    if not has_fork():
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
    folder: Path
    number: int
    parts: int

    def write(self) -> None:
        """Draws the figure, and writes its files."""
        drawing, order = self.drawing, self.order
        name = drawing.name if self.parts == 1 else f"{drawing.name}-{self.number}"
        leading = leaders(self.rows, order[0], drawing.series) if drawing.series else self.rows
        figure = drawing.draw(leading, order)
        replace_text(self.folder / f"{name}.svg", as_svg(figure))
        plots.save(figure, self.folder / f"{name}.png")


def measured(every: Sequence[Drawing], rows: pd.DataFrame) -> list[Drawing]:
    """Returns the drawings whose column was measured."""
    return [drawing for drawing in every if len(rows) and rows[drawing.needs].notna().any()]


def parts_of(drawing: Drawing, rows: pd.DataFrame, order: list[str], folder: Path) -> list[FigurePart]:
    """Splits a drawing into figures of at most `drawing.problems` problems; none if its column was not measured."""
    if not measured([drawing], rows):
        return []
    problems = list(dict.fromkeys(rows.loc[rows[drawing.needs].notna(), "problem"]))
    parts = [problems[i : i + drawing.problems] for i in range(0, len(problems), drawing.problems)]
    return [
        FigurePart(drawing, rows[rows["problem"].isin(part)], order, folder, i + 1, len(parts))
        for i, part in enumerate(parts)
    ]


def with_figure_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """Adds the columns of figures that need more than a metric, null for other cells.

    `model` and `turn`: place on a training trajectory; `batches`: number of batch sizes; `size`: that of the problem;
    `times_of_limit`.
    """
    if rows.empty:
        return rows.assign(model=None, turn=None, batches=None, size=None)
    sizes = rows.groupby(["estimator", "problem", "samples"])["batch"].transform("nunique")
    found = on_trajectory(rows)
    columns = {"model": found["model"], "turn": found["turn"], "batches": sizes.where(sizes > 1)}
    return with_limit(rows.assign(**columns, size=problem_sizes(rows)))


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
