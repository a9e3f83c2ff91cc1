"""Output and exit codes of the command: results on standard output, everything else on standard error."""

import json
import sys
from collections.abc import Iterable
from typing import Annotated, Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from bench.display.terminal import without_controls

FAILED, BAD_INPUT, INCONCLUSIVE, INTERRUPTED = 1, 2, 3, 130
"""Exit codes, besides 0."""
WIDTH = None if sys.stdout and sys.stdout.isatty() else 200
"""Width of the output. A pipe or a file has no width, so long lines are not folded there."""


class PlainConsole(Console):
    """A console on which no text controls the terminal: characters that do not print are shown as escapes."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yields the segments of a renderable; rich's own styles and cursor movements are not text."""
        for each in super().render(renderable, options):
            yield each if each.control else Segment(without_controls(each.text), each.style)


out, err = PlainConsole(width=WIDTH), PlainConsole(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]


def say(text: str, console: Console = out) -> None:
    """Prints a line unchanged, without markup or folding."""
    console.print(without_controls(text), markup=False, highlight=False, soft_wrap=True)


def say_json(found: Any) -> None:
    """Prints an object as JSON. Values of types that JSON lacks are written as text."""
    out.print_json(json.dumps(found, default=_plain), ensure_ascii=True)


def _plain(value: Any) -> Any:
    """Returns a numpy number as a Python number, any other value as text."""
    return value.item() if hasattr(value, "item") else str(value)
