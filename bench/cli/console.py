"""What the command says and how it ends: results on standard output, everything else on standard error."""

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
"""Exit codes, besides 0."""
WIDTH = None if sys.stdout.isatty() else 200
"""A pipe or a file has no width of its own: lines are not folded there."""

out, err = Console(width=WIDTH), Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]


def say(text: str, console: Console = out) -> None:
    """Prints a line as it is: no markup, no folding."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def say_json(found: Any) -> None:
    """Prints an object as JSON; what JSON does not know is written as text."""
    out.print_json(json.dumps(found, default=_plain))


def _plain(value: Any) -> Any:
    """A number of numpy's as Python's, anything else as text."""
    return value.item() if hasattr(value, "item") else str(value)
