"""The command `gradest`: each verb is a thin layer over the function of the same name in `bench`."""

import gc
import json
import shlex
import sys
import warnings
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from bench.cli.recommend import recommend

if TYPE_CHECKING:
    from bench.sweeps.run import Progress as Standing
    from bench.sweeps.run import Summary

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
SHOWN = 500
"""Cells of a plan in a table for people; `--json` gives all."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Which stochastic gradient estimator to use here, how biased and how noisy it is, and what it costs.",
    epilog="To start: gradest run quick, then gradest report results/quick --open. For your own model: gradest "
    "recommend FILE.py.",
)
WIDE = None if sys.stdout.isatty() else 200
"""A pipe or a file has no width of its own: lines are not folded there."""

out, err = Console(width=WIDE), Console(stderr=True)

SuiteName = Annotated[str, typer.Argument(metavar="SUITE|FILE.toml", help="A built-in suite, or a TOML file.")]
Where = Annotated[str | None, typer.Option(help="Only these cells, e.g. 'estimator == \"rloo\" and samples >= 4'.")]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the results; results/SUITE if not said.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Cells measured side by side; all cores if not said.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …")]
Seed = Annotated[int | None, typer.Option(min=0, help="In place of the suite's seed.")]
Rerun = Annotated[str, typer.Option(help="What is measured again: missing, failed, stale (other source), all.")]
Plugin = Annotated[list[str] | None, typer.Option(metavar="FILE.py", help="A file that registers plug-ins.")]
Force = Annotated[bool, typer.Option("--force", help="Measure pairs that do not fit, too.")]
Json = Annotated[bool, typer.Option("--json", help="Say it as one JSON object.")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run.")]
Run = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run, or a table file (Parquet, CSV).")]


def main() -> None:
    """The entry point: bad input is one sentence and exit code 2, without a traceback."""
    warnings.showwarning = _note
    if sys.argv[1:2] in (["list"], ["show"]) and "--reference" not in sys.argv:
        gc.disable()  # their life is short, and collecting while torch is imported is a tenth of it
    try:
        app()
    except Exception as error:
        from estimators.errors import BadInput

        if not isinstance(error, BadInput):
            raise
        err.print(f"gradest: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(BAD_INPUT)


@app.command("list")
def list_(
    kind: Annotated[
        str | None, typer.Argument(help="estimators, distributions, objectives, metrics, suites, offers")
    ] = None,
    references: Annotated[
        bool, typer.Option("--reference", help="The exact gradients: method, error, norm (takes a minute).")
    ] = False,
    plugin: Plugin = None,
) -> None:
    """What there is: estimators, distributions, objectives, metrics, suites; and what torch's distributions offer."""
    from bench.catalogue.listing import BRIEF, broken
    from bench.display.terminal import frame
    from bench.plugins.files import load_files

    load_files(plugin or [])
    if references:
        from bench.catalogue.exact_gradients import reference_table

        out.print(frame(reference_table(), "exact gradients"))
        return
    for each in [kind] if kind else LISTED_KINDS:
        found = listing_rows(each)  # raises for an unknown kind
        cells = ([row[column] for column in BRIEF[each]] for row in found)
        more = "classes of torch.distributions and what they offer, as measured" if each == "offers" else each
        tells = "" if each == "offers" else "; gradest show NAME tells more"
        out.print(rich_table(BRIEF[each], cells, f"{len(found)} {more}{tells}"))
    for each in broken():
        err.print(f"cannot be used: {each}", markup=False, soft_wrap=True)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As gradest list says it.")], plugin: Plugin = None
) -> None:
    """One estimator, distribution, objective or metric: what it is, its conditions, its paper, its settings."""
    from bench.catalogue.listing import describe
    from bench.plugins.files import load_files

    load_files(plugin or [])
    out.print(describe(name), markup=False, highlight=False)


@app.command()
def plan(  # noqa: PLR0917 (typer reads them)
    suite: SuiteName,
    where: Where = None,
    out_: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder whose finished cells count.")
    ] = None,
    jobs: Jobs = None,
    device: Device = None,
    seed: Seed = None,
    rerun: Rerun = "missing",
    plugin: Plugin = None,
    force: Force = False,
    json_: Json = False,
) -> None:
    """The cells of a suite: what is to run, what is done, what is skipped and why, and the expected time."""
    from bench.sweeps.outlook import outlook_view
    from bench.sweeps.outlook import plan as plan_verb

    found = plan_verb(
        suite, out_, where=where, jobs=jobs, device=device, seed=seed, rerun=rerun, plugins=plugin or (), force=force
    )
    if json_:
        out.print_json(json.dumps(vars(found) | {"cells": found.cells.to_dict("records")}, default=str))
        return
    out.print(outlook_view(found, SHOWN))


@app.command()
def run(  # noqa: PLR0917 (typer reads them)
    suite: SuiteName,
    out_: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder; results/SUITE if not said.")
    ] = None,
    where: Where = None,
    jobs: Jobs = None,
    device: Device = None,
    seed: Seed = None,
    timeout: Annotated[float | None, typer.Option(min=0, help="Seconds that one cell may take.")] = None,
    memory: Annotated[float | None, typer.Option(min=0.1, help="GiB that one worker may allocate.")] = None,
    rerun: Rerun = "missing",
    plugin: Plugin = None,
    force: Force = False,
    shard: Annotated[str | None, typer.Option(metavar="I/N", help="Only the I-th of N parts of the cells.")] = None,
    engine: Annotated[str, typer.Option(help="Where cells are measured: local, or dask (a cluster).")] = "local",
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of the Dask cluster; one is started here if not said.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but what failed.")] = False,
    json_: Json = False,
) -> None:
    """Measure a suite. What is done already is kept; run it again to continue after an interruption."""
    from bench.sweeps.run import run as run_verb

    with _bar(quiet or json_) as show_:
        summary = run_verb(
            suite,
            out_,
            where=where,
            shard=shard,
            jobs=jobs,
            device=device,
            seed=seed,
            timeout=timeout,
            rerun=rerun,
            plugins=plugin or (),
            force=force,
            memory=memory,
            engine=engine,
            scheduler=scheduler,
            show=show_,
        )
    if json_:
        out.print_json(json.dumps(vars(summary), default=str))
    _said(summary, quiet or json_)


@app.command()
def collect(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR DIR…", help="Folders of a sweep's shards.")],
    out_: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the whole sweep.")],
) -> None:
    """Merge the folders of a sweep's shards."""
    from bench.sweeps.shards import collect as collected

    out.print(f"wrote {collected(folders, out_)}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def status(folder: Folder, json_: Json = False) -> None:
    """How a run stands, also while it runs: done, failed, left, the time that takes, and the slowest cells."""
    from bench.sweeps.status import status as status_verb
    from bench.sweeps.status import status_view

    found = status_verb(folder)
    if json_:
        out.print_json(json.dumps(vars(found) | {"slowest": found.slowest.to_dict("records")}, default=int))
        return
    for note in found.notes:
        err.print(f"note: {note}", markup=False, highlight=False)
    out.print(status_view(found))


@app.command()
def compare(  # noqa: PLR0917 (typer reads them)
    folder: Run,
    other: Annotated[
        Path | None, typer.Argument(metavar="DIR2", help="A second run, judged against the first.")
    ] = None,
    baseline: Annotated[str | None, typer.Option(help="The estimator that the others are compared with.")] = None,
    metric: Annotated[str, typer.Option(help="What is compared.")] = "variance",
    where: Where = None,
    fail_on: Annotated[str | None, typer.Option(help="Exit with 1 when this got worse: 'variance>10%'.")] = None,
) -> None:
    """Rank the estimators of a run against a baseline, or a second run against a first."""
    from bench.analysis.comparison import compare as compared
    from bench.tables.folder import load
    from bench.tables.where import select
    from estimators.errors import BadInput

    tables = [select(load(path), where) for path in (folder, other) if path is not None]
    if where and not len(tables[0]):
        raise BadInput(f"--where {where!r} means no row of {folder}")
    found = compared(*tables, baseline=baseline, metric=metric, fail_on=fail_on)
    out.print(found)
    if getattr(found, "failures", ()):
        raise typer.Exit(FAILED)


@app.command()
def report(
    folder: Run,
    out_: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.html", help="DIR/report.html if not said.")
    ] = None,
    baseline: Annotated[str | None, typer.Option(help="The estimator that the others are compared with.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes that draw; all cores if not said.")] = None,
    open_: Annotated[bool, typer.Option("--open", help="Show the page in the browser.")] = False,
) -> None:
    """Write one self-contained page about a run, and its figures as PNG and SVG files."""
    from bench.pages.report import report as written
    from bench.sweeps.run import cores

    page = written(folder, out_, baseline=baseline, jobs=jobs or cores())
    out.print(f"wrote {page}", markup=False, highlight=False, soft_wrap=True)
    if open_:
        webbrowser.open(page.resolve().as_uri())


@app.command()
def verify(  # noqa: PLR0917 (typer reads them)
    quick: Annotated[bool, typer.Option("--quick", help="Only what takes seconds, with fewer draws.")] = False,
    where: Annotated[str | None, typer.Option(help="Only these facts, e.g. 'group == \"course\"'.")] = None,
    out_: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder; results/verify[-quick] if not said.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Facts measured side by side.")] = 1,
    rerun: Annotated[str, typer.Option(help="What is measured again: missing, all.")] = "missing",
    seed: Annotated[int, typer.Option(min=0, help="Of all draws.")] = 0,
) -> None:
    """Reproduce the facts that gradest stands on: what a course says, closed forms, published results, training."""
    from bench.validation.facts.runner import verify as verified

    def show_(record: Any, left: int) -> None:
        line = f"{record.fact}: {record.verdict} ({len(record.checks)} numbers, {record.seconds:.1f} s), {left} left"
        err.print(line, markup=False, highlight=False, soft_wrap=True)

    found = verified(out_, quick=quick, where=where, jobs=jobs, rerun=rerun, seed=seed, show=show_)
    for line in found.failed:
        err.print(line, markup=False, highlight=False, soft_wrap=True)
    counts = ", ".join(f"{count} {word}" for word, count in found.counts.items())
    out.print(f"{found.folder}: {counts}", markup=False, highlight=False, soft_wrap=True)
    if found.failed:
        raise typer.Exit(FAILED)


@app.command()
def check(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE.py:CLASS", help="A registered name, or a class in a file.")],
    seed: Annotated[int, typer.Option(min=0, help="Of the draws that the checks make.")] = 0,
    plugin: Plugin = None,
) -> None:
    """Conformance of an estimator, distribution or objective: does it keep the contract, are its claims true?"""
    from bench.plugins.files import load_files
    from bench.validation.checks.conformance import check as checked

    load_files(plugin or [])
    found = checked(name, seed=seed)
    out.print(found)
    if found.failed:
        raise typer.Exit(FAILED)


app.command()(recommend)


@app.command()
def export(folder: Run, format_: Annotated[str, typer.Option("--format", help="csv or parquet")] = "csv") -> None:
    """Write the table of a run as CSV or Parquet."""
    from bench.tables.export import export as export_verb

    out.print(f"wrote {export_verb(folder, format_)}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def env(
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure its ceilings, too: random numbers, copies, matrix products.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="The device whose ceilings are measured; cpu if not said.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32 (if not said) or float64.")] = None,
) -> None:
    """What is recorded about this machine."""
    from bench.provenance.machine import environment
    from estimators.errors import BadInput

    if (device or dtype) and not measure:
        raise BadInput("--device and --dtype are of the ceilings; say --measure, too")
    found = environment()
    if measure:
        from bench.measure.timing.ceilings import measured_ceilings as measured_ceilings_verb

        found = found | {"ceilings": measured_ceilings_verb(device or "cpu", dtype or "float32")}
    out.print_json(json.dumps(found))


def _said(summary: "Summary", quiet: bool) -> None:
    """The end of a run in words, and the exit code."""
    for note in summary.notes:
        err.print(f"note: {note}", markup=False, highlight=False)
    for line in summary.failed:
        err.print(line, markup=False, highlight=False)
    counts = ", ".join(f"{count} {name}" for name, count in sorted(summary.counts.items())) or "nothing was left to do"
    if not quiet:
        out.print(f"{summary.folder}: {counts}", markup=False, highlight=False, soft_wrap=True)
    if summary.interrupted:
        err.print(f"interrupted, {summary.left} left; what is done is saved. To continue:", highlight=False)
        err.print(f"  gradest {shlex.join(sys.argv[1:])}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(INTERRUPTED)
    if summary.failed:
        raise typer.Exit(FAILED)


@contextmanager
def _bar(quiet: bool) -> Iterator[Any]:
    """A progress bar on a terminal; nothing elsewhere."""
    from bench.display.terminal import duration

    columns = (TextColumn("measuring"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]} left"))
    with Progress(*columns, console=err, transient=True, disable=quiet or not err.is_terminal) as bar:
        task = bar.add_task("", total=None, left="")

        def update(progress: "Standing") -> None:
            bar.update(task, completed=progress.done, total=progress.total, left=duration(progress.seconds_left))

        yield update


def _note(message: Any, *_place: Any, **_more: Any) -> None:
    """Warnings as notes, without the place in the source."""
    err.print(f"note: {message}", markup=False, highlight=False, soft_wrap=True)
