"""A command made of a verb: its options are those of the function `bench.<verb>`."""

import inspect
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer

from bench.cli.declaration import REQUIRED, Parameter, declaration

Present = Callable[..., None]
"""Calls the verb with the options that were given (a dict by name), and shows what it returns."""


def command(verb: str, **metavars: str) -> Callable[[Present], Present]:
    """Makes a presenter a command of typer, with the verb's options before the presenter's own.

    Args:
        verb: Name of a function of `bench`.
        metavars: What stands for a value in the help page, by parameter, e.g. `out="DIR"`.
    """
    declared = declaration(verb)
    unknown = metavars.keys() - {each.name for each in declared.parameters}
    if unknown:
        raise TypeError(f"bench.{verb} has no parameter {', '.join(sorted(unknown))}")

    def decorate(present: Present) -> Present:
        def called(**values: Any) -> None:
            given = {each.name: values.pop(each.name) for each in declared.parameters}
            present(given, **values)

        shared = [_typed(each, metavars.get(each.name)) for each in declared.parameters]
        called.__signature__ = inspect.Signature([*shared, *_own(present)])  # pyright: ignore[reportFunctionMemberAccess]
        called.__doc__ = declared.text
        return called

    return decorate


def _typed(parameter: Parameter, metavar: str | None) -> inspect.Parameter:
    """A parameter as typer wants it."""
    kind: Any = list[parameter.kind] if parameter.several else parameter.kind
    kind = kind | None if parameter.default is None else kind
    if parameter.positional:
        info: Any = typer.Argument(help=parameter.help, metavar=metavar)
    else:
        info = typer.Option(f"--{parameter.name.replace('_', '-')}", help=parameter.help, metavar=metavar)
    return _keyword(parameter.name, Annotated[kind, info], _default(parameter))


def _default(parameter: Parameter) -> Any:
    if parameter.default is REQUIRED:
        return inspect.Parameter.empty
    return list(parameter.default) if parameter.several else parameter.default


def _own(present: Present) -> Iterator[inspect.Parameter]:
    """The presenter's own options: how the result is shown."""
    for each in [*inspect.signature(present).parameters.values()][1:]:
        yield _keyword(each.name, each.annotation, each.default)


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
