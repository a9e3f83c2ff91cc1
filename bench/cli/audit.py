"""audit: gradients that come from anywhere."""

from typing import Any

import typer

import bench
from bench.cli.command import command
from bench.cli.console import FAILED, INCONCLUSIVE, Json, err, out, say

SOURCE = "FILE.npy|FILE.py|COMMAND"


@command(
    "audit", draw=SOURCE, exact="FILE.npy", against=SOURCE, resolution="SHARE", rarest="PROBABILITY", replicates="N",
    seconds="SECONDS", count="N", seed="N", out="DIR",
)  # fmt: skip
def audit(given: dict[str, Any], json: Json = False) -> None:
    """Prints the answer; the exit code is 1 if something is biased or differs, 3 if something is unclear."""
    found = bench.audit(**given)
    if given["out"] is not None:
        say(f"wrote {given['out']}", err)
    if json:
        out.print_json(found.to_json())
    else:
        out.print(found)
    if found.failed:
        raise typer.Exit(FAILED)
    if not found.conclusive:
        raise typer.Exit(INCONCLUSIVE)
