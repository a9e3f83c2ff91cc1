"""Reads the declaration of a verb from its function in `bench`: text, parameters, defaults and their meaning.

The command takes its options from here, so command and function cannot differ. The function's source is parsed, not
imported: an import would load torch, which takes seconds, and a help page must be fast.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bench

REQUIRED = object()
"""Stands for the default of a required parameter."""

HEADING = re.compile(r"^(?:(?:Args|Returns|Raises|Note):$|>>> )", flags=re.MULTILINE)


@dataclass(frozen=True)
class Parameter:
    """A parameter of a verb that can be given on the command line.

    `kind`: type of one value. `several`: True if the parameter takes any number of values. `positional`: True if the
    parameter is an argument of the command, False if it is an option.
    """

    name: str
    kind: type
    several: bool
    positional: bool
    default: Any
    help: str


@dataclass(frozen=True)
class Declaration:
    """The description of a verb and its parameters."""

    text: str
    parameters: tuple[Parameter, ...]


def declaration(verb: str) -> Declaration:
    """Reads `bench.<verb>`.

    >>> [each.name for each in declaration("export").parameters]
    ['results', 'out', 'format']
    """
    function = _definition(verb)
    docstring = ast.get_docstring(function) or ""
    return Declaration(HEADING.split(docstring)[0].strip(), tuple(_parameters(function, meanings(docstring))))


def help_of(verb: str) -> dict[str, str]:
    """Returns the description of each argument of `bench.<verb>`, by name.

    >>> help_of("export")["format"]
    'csv or parquet. Default: what the name of the file ends in, or csv.'
    """
    return meanings(ast.get_docstring(_definition(verb)) or "")


def meanings(docstring: str) -> dict[str, str]:
    """Returns the description of each argument in a docstring's "Args:" section, by name.

    >>> meanings("Runs.\\n\\nArgs:\\n    jobs: Processes,\\n        side by side.\\n    seed: Of all draws.\\n")
    {'jobs': 'Processes, side by side.', 'seed': 'Of all draws.'}
    """
    section = HEADING.split(docstring.partition("\nArgs:\n")[2])[0]
    entries = re.split(r"^ {4}(?=\w+: )", section, flags=re.MULTILINE)[1:]
    return {name: " ".join(text.split()) for name, _, text in (entry.partition(": ") for entry in entries)}


def unfolded(docstring: str) -> str:
    """Joins each paragraph into one line, because the terminal folds long lines.

    >>> unfolded("Runs.\\n\\n    A long\\n    sentence.\\n    ")
    'Runs.\\n\\nA long sentence.'
    """
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in docstring.strip().split("\n\n"))


def _definition(verb: str) -> ast.FunctionDef:
    """Returns the syntax tree of the verb's function, parsed from the source of its module."""
    source = Path(bench.__file__).parents[1] / (bench.HOMES[verb].replace(".", "/") + ".py")
    body = ast.parse(source.read_text(encoding="utf-8")).body
    return next(node for node in body if isinstance(node, ast.FunctionDef) and node.name == verb)


def _parameters(function: ast.FunctionDef, help_: dict[str, str]) -> Iterator[Parameter]:
    """Yields all parameters except those that take a function, which cannot be given on a command line."""
    for argument, default, positional in _arguments(function.args):
        words = {node.id for node in ast.walk(argument.annotation or argument) if isinstance(node, ast.Name)}
        if "Callable" in words:
            continue
        value = REQUIRED if default is None else ast.literal_eval(default)
        several = bool({"Iterable", "Sequence"} & words)
        yield Parameter(argument.arg, _kind(words), several, positional, value, help_.get(argument.arg, ""))


def _arguments(every: ast.arguments) -> Iterator[tuple[ast.arg, ast.expr | None, bool]]:
    """Yields each parameter, its default, and whether it is positional in the command; `--out` is always an option."""
    without = [None] * (len(every.args) - len(every.defaults))
    for argument, default in zip(every.args, [*without, *every.defaults], strict=True):
        yield argument, default, argument.arg != "out"
    for argument, default in zip(every.kwonlyargs, every.kw_defaults, strict=True):
        yield argument, default, False


def _kind(words: set[str]) -> type:
    """Returns the type of one value, from the words of an annotation. Paths and tables are given as text."""
    return next((kind for kind in (bool, int, float) if kind.__name__ in words), str)
