"""Writes one self-contained page about a run, and its figures as files beside the page."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import base64
import hashlib
import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment
from markupsafe import Markup, escape

from bench.analysis.comparison import Comparison, compare_estimators
from bench.analysis.ranking import rankings
from bench.analysis.winners import kind_winners, winners_by_size
from bench.measure.timing.ceilings import load_ceilings
from bench.pages.answers import AnswerBox, answers
from bench.pages.figures import Drawing, drawings, measured, with_figure_columns, writing_figures
from bench.pages.findings import findings, statuses, what_was_run
from bench.pages.jinja import page_environment, template_file
from bench.pages.report_tables import page_data
from bench.plots.style import plain_number
from bench.provenance.cores import processes
from bench.tables.folder import environments, load
from bench.tables.long import typed
from bench.tables.metrics import METRICS
from bench.tables.results import beside
from bench.tables.wide import wide_table
from bench.tables.writing import replace_text
from estimators.errors import BadInput

SCRIPTS = ("selection.js", "marks.js", "ranking.js", "findings.js", "answers.js", "views.js", "report.js")
"""The scripts of the page, in the folder of templates, joined in this order."""


class Page(type(Path())):  # pyright: ignore[reportUntypedBaseClass, reportGeneralTypeIssues]
    """The path of a written page; a notebook shows the page."""

    def _repr_html_(self) -> str:
        address = escape(os.path.relpath(self))
        return (
            f'<a href="{address}" target="_blank">{address}</a>'
            f'<iframe src="{address}" title="The report" style="width:100%;height:40rem;border:0"></iframe>'
        )


def report(
    results: str | Path | pd.DataFrame,
    out: str | Path | None = None,
    *,
    baseline: str | None = None,
    where: str | None = None,
    jobs: int | None = None,
) -> Page:
    """Writes one self-contained page about a run, and its figures as PNG and SVG files.

    The figures go into a folder beside the page, named after the page with the suffix `-figures`.

    Args:
        results: Name of a suite that was run, folder of a run, or table.
        out: The page to write. Default: report.html in the folder of the run.
        baseline: Estimator that the others are compared with. Default: reinforce.
        where: Shows only these cells, e.g. 'samples >= 4'; the others are not read.
        jobs: Number of processes that draw. Default: one per core.

    Returns:
        The path of the page; a notebook shows the page.

    Raises:
        BadInput: There is no such run or baseline, or the page cannot be written.

    Note:
        With more than one process, the calling script is imported again: call this function under
        `if __name__ == "__main__":`, or with jobs=1.
    """
    target = Page(out if out is not None else beside(results, "report.html"))
    table = typed(load(results, where=where)) if where else load(results)
    if where and not len(table):
        raise BadInput(f"--where {where!r} selects no row")
    folder = None if isinstance(results, pd.DataFrame) else beside(results, "report.html").parent
    figures = target.with_name(f"{target.stem}-figures")
    try:
        figures.mkdir(parents=True, exist_ok=True)
        text = report_page(
            table,
            environments(folder) if folder else [],
            baseline=baseline,
            source=str(folder or "results/…"),
            ceilings=load_ceilings(folder).to_dict("records") if folder else [],
            figures=figures,
            jobs=processes(jobs),
        )
    except OSError as error:
        raise BadInput(f"cannot write the report to {target}: {error.strerror}") from None
    replace_text(target, text)
    return target


def report_page(
    table: pd.DataFrame,
    environments: list[dict[str, Any]],
    *,
    baseline: str | None = None,
    source: str = "results/…",
    ceilings: Sequence[dict[str, Any]] = (),
    figures: Path | None = None,
    jobs: int = 1,
) -> str:
    """Returns the page as HTML.

    Args:
        table: The table of a run.
        environments: The recorded machines, one dict each.
        baseline: Estimator that the others are compared with. Default: reinforce.
        source: Folder that the page names in its commands to reproduce the run.
        ceilings: The measured limits of the devices, one dict each.
        figures: Folder in which each figure is also written as PNG and SVG. Default: no files.
        jobs: Number of processes that draw.
    """
    rows = wide_table(table)
    found = compare_estimators(rows, baseline=baseline) if len(rows) else _nothing()
    ranked = rankings(rows, baseline=baseline)
    order = [found.baseline, *(name for name in dict.fromkeys(rows["estimator"]) if name != found.baseline)]
    marked, every = with_figure_columns(rows), drawings(found, ranked)
    script = "\n".join(template_file(name) for name in SCRIPTS)
    with writing_figures(every, marked, order, figures, jobs) if figures is not None else nullcontext():
        return (
            report_environment()
            .get_template("report.html.j2")
            .render(
                reproduce=source,
                runs=sorted(set(table["run"].dropna())) if "run" in table else [],
                created=[_when(at) for at in sorted(table["created"].dropna())[-1:]] if "created" in table else [],
                what=what_was_run(rows) if len(rows) else "The table is empty: no cell was planned or run.",
                statuses=statuses(rows),
                findings=findings(rows) if len(rows) else [],
                found=found,
                figures=_by_view(measured(every, marked)),
                answers=_answers(rows, found.baseline),
                environments=environments,
                environment_fields=list(dict.fromkeys(name for each in environments for name in each if name != "env")),
                metrics=METRICS.values(),
                data=page_data(marked, found, ranked),
                ceilings=list(ceilings),
                style=Markup(template_file("report.css") + template_file("answers.css")),
                script=Markup(script),
                script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            )
        )


def _answers(rows: pd.DataFrame, baseline: str) -> list[AnswerBox]:
    """Returns the boxes at the top."""
    if rows.empty:
        return []
    return answers(kind_winners(rows, baseline=baseline), winners_by_size(rows, baseline=baseline))


def _by_view(every: Sequence[Drawing]) -> dict[str, list[Drawing]]:
    """Returns the drawings by the figure of the page that shows them."""
    return {
        view: [each for each in every if each.shown_as == view] for view in dict.fromkeys(d.shown_as for d in every)
    }


def _when(created: str) -> str:
    """Returns an ISO 8601 time in readable form.

    >>> _when("2026-01-31T04:05:54+00:00")
    '2026-01-31 04:05 UTC'
    """
    return f"{created[:10]} {created[11:16]} UTC"


def _nothing() -> Comparison:
    none = pd.DataFrame(columns=["equal", "estimator", "problem", "baseline", "samples"])
    return Comparison("variance", "", 0.1, none, none)


def report_environment() -> Environment:
    """Returns the page environment with the report's filters."""
    made = page_environment()
    made.filters["number"] = lambda value: "—" if value is None or pd.isna(value) else plain_number(float(value))
    made.filters["plainly"] = plainly
    return made


def plainly(value: Any, name: str) -> str:
    """Returns a value of an environment in readable form.

    >>> plainly(25276502016, "memory_bytes"), plainly([], "accelerators"), plainly(["A", "B"], "accelerators")
    ('23.5 GiB', 'none', 'A, B')
    """
    if name.endswith("bytes") and isinstance(value, int):
        return f"{value / 2**30:.1f} GiB"
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
