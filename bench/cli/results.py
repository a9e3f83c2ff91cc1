"""The commands compare, report and export, which read a finished table."""

import webbrowser
from dataclasses import fields
from typing import Annotated, Any

import typer

import bench
from bench.cli.command import command
from bench.cli.console import FAILED, Json, out, say, say_json

RESULTS = "SUITE|DIR|FILE"


@command(
    "compare", results=RESULTS, other=RESULTS, baseline="ESTIMATOR", metric="METRIC", margin="SHARE",
    where="EXPRESSION", fail_on="LIMITS",
)  # fmt: skip
def compare(given: dict[str, Any], json: Json = False) -> None:
    """Prints a comparison; the exit code is 1 if a limit of `--fail-on` is exceeded."""
    found = bench.compare(**given)
    if json:
        say_json({each.name: plain_rows(getattr(found, each.name)) for each in fields(found)})
    else:
        out.print(found)
    if getattr(found, "failures", ()):
        raise typer.Exit(FAILED)


def plain_rows(value: Any) -> Any:
    """Returns a data frame as a list of rows, in which a missing value is None; any other value unchanged."""
    if not hasattr(value, "to_dict"):
        return value
    return value.astype(object).where(value.notna(), None).to_dict("records")


@command("report", results=RESULTS, out="FILE.html", baseline="ESTIMATOR", jobs="N")
def report(
    given: dict[str, Any],
    open_: Annotated[bool, typer.Option("--open", help="Show the page in the browser.")] = False,
) -> None:
    """Writes the report and prints its path."""
    page = bench.report(**given)
    say(f"wrote {page}")
    if open_:
        webbrowser.open(page.resolve().as_uri())


@command("export", results=RESULTS, format="csv|parquet", out="FILE")
def export(given: dict[str, Any]) -> None:
    """Writes the table and prints its path."""
    say(f"wrote {bench.export(**given)}")
