"""The commands run, plan, status and collect."""

import shlex
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

import bench
from bench.cli.command import command
from bench.cli.console import FAILED, INTERRUPTED, Json, err, out, say, say_json
from bench.cli.progress import measuring

if TYPE_CHECKING:
    from bench.sweeps.run import Summary

SHOWN = 500
"""Maximum number of a plan's cells in the printed table; `--json` prints all."""
SUITE = "SUITE|FILE.toml"

Quiet = Annotated[bool, typer.Option("--quiet", help="Print only failed cells.")]


@command(
    "run", suite=SUITE, out="DIR", where="EXPRESSION", shard="I/N", jobs="N", device="DEVICE", seed="N",
    timeout="SECONDS", memory="GIB", rerun="WHICH", plugin="FILE.py", engine="local|dask", scheduler="ADDRESS",
)  # fmt: skip
def run(given: dict[str, Any], quiet: Quiet = False, json: Json = False) -> None:
    """Runs a suite with a progress bar and prints how it ended."""
    with measuring(quiet or json) as show:
        summary = bench.run(**given, show=show)
    if json:
        say_json(vars(summary))
    _ended(summary, quiet or json)


def _ended(summary: "Summary", quiet: bool) -> None:
    """Prints how a run ended, and exits with its exit code."""
    for note in summary.notes:
        say(f"note: {note}", err)
    for line in summary.failed:
        say(line, err)
    if not quiet:
        say(summary.line)
    if summary.interrupted:
        say(f"interrupted, {summary.left} left; what is done is saved. To continue:", err)
        say(f"  gradest {shlex.join(sys.argv[1:])}", err)
        raise typer.Exit(INTERRUPTED)
    if summary.left:
        say(f"{summary.left} cells' tasks have no record on disk; run the same command again to measure them", err)
    if summary.failed or summary.left:
        raise typer.Exit(FAILED)


@command(
    "plan", suite=SUITE, out="DIR", where="EXPRESSION", jobs="N", device="DEVICE", seed="N", rerun="WHICH",
    plugin="FILE.py",
)  # fmt: skip
def plan(given: dict[str, Any], json: Json = False) -> None:
    """Prints the plan of a suite."""
    from bench.sweeps.outlook import outlook_view

    found = bench.plan(**given)
    if json:
        say_json(vars(found) | {"cells": found.cells.to_dict("records")})
    else:
        out.print(outlook_view(found, SHOWN))


@command("status", results="SUITE|DIR")
def status(given: dict[str, Any], json: Json = False) -> None:
    """Prints the status of a run."""
    from bench.sweeps.status import status_view

    found = bench.status(**given)
    if json:
        say_json(vars(found) | {"slowest": found.slowest.to_dict("records")})
        return
    for note in found.notes:
        say(f"note: {note}", err)
    out.print(status_view(found))


@command("collect", folders="DIR DIR…", out="DIR")
def collect(given: dict[str, Any]) -> None:
    """Merges the shards of a run and prints the path."""
    say(f"wrote {bench.collect(**given)}")
