"""The commands list, show and env: the catalogue, and the machine."""

from typing import Any

import bench
from bench.cli.command import command
from bench.cli.console import err, out, say, say_json


@command("listing", kind="KIND", plugin="FILE.py")
def list_(given: dict[str, Any]) -> None:
    """Prints the tables of one kind or of all, and the plug-ins that cannot be used."""
    from bench.catalogue.listing import LISTED_KINDS, SLOW, broken
    from bench.plugins.files import load_files

    load_files(given["plugin"])
    for kind in [each for each in LISTED_KINDS if each not in SLOW] if given["kind"] == "all" else [given["kind"]]:
        _print(kind)
    for each in broken():
        say(f"cannot be used: {each}", err)


def _print(kind: str) -> None:
    """Prints the columns of one kind that fit a terminal. Without pandas, whose import is slow."""
    from bench.catalogue.listing import BRIEF, listing_rows
    from bench.display.terminal import rich_table

    found = listing_rows(kind)
    columns = BRIEF[kind]
    title = f"{len(found)} {WHAT.get(kind, kind)}"
    tells = "; gradest show NAME tells more" if kind not in WHAT else ""
    out.print(rich_table(columns, ([row[column] for column in columns] for row in found), title + tells))


WHAT = {
    "suites": "suites; gradest plan NAME shows the cells",
    "needs": "needs of estimators",
    "offers": "classes of torch.distributions and what they offer, as measured",
    "gradients": "exact gradients",
}
"""Table titles of the kinds that `gradest show` does not describe."""


@command("describe", name="NAME", plugin="FILE.py")
def show(given: dict[str, Any]) -> None:
    """Prints the description of one entry."""
    out.print(bench.describe(**given), markup=False, highlight=False)


@command("environment", device="DEVICE", dtype="float32|float64")
def env(given: dict[str, Any]) -> None:
    """Prints the properties of the machine as JSON."""
    say_json(bench.environment(**given))
