"""The commands check and verify, which validate estimators and measurements."""

from typing import TYPE_CHECKING, Any

import typer

import bench
from bench.cli.command import command
from bench.cli.console import FAILED, err, out, say

if TYPE_CHECKING:
    from bench.validation.facts.record import FactRecord


@command("check", name="NAME|FILE.py:CLASS", plugin="FILE.py", seed="N")
def check(given: dict[str, Any]) -> None:
    """Prints the outcomes of the checks; the exit code is 1 if a check failed."""
    found = bench.check(**given)
    out.print(found)
    if found.failed:
        raise typer.Exit(FAILED)


@command("verify", out="DIR", where="EXPRESSION", jobs="N", rerun="WHICH", seed="N")
def verify(given: dict[str, Any]) -> None:
    """Prints each fact and the counts by verdict; the exit code is 1 if a fact is not reproduced."""
    found = bench.verify(**given, show=_measured)
    for line in found.failed:
        say(line, err)
    counts = ", ".join(f"{count} {word}" for word, count in found.counts.items())
    say(f"{found.folder}: {counts}")
    if found.failed:
        raise typer.Exit(FAILED)


def _measured(record: "FactRecord", left: int) -> None:
    """Prints a line for a fact as soon as it is measured."""
    numbers = f"{len(record.checks)} numbers, {record.seconds:.1f} s"
    say(f"{record.fact}: {record.verdict} ({numbers}), {left} left", err)
