"""Makes a command from a verb: its options are the parameters of the function `bench.<verb>`."""

import inspect
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer

from bench.cli.console import INTERRUPTED, err, say
from bench.cli.declaration import REQUIRED, Parameter, declaration

Present = Callable[..., None]
"""A presenter: calls the verb with the given options (a dict by name) and prints the result."""


def command(verb: str, **metavars: str) -> Callable[[Present], Present]:
    """Returns a decorator that turns a presenter into a typer command.

    The command has the verb's options, then the presenter's own.

    Args:
        verb: Name of a function of `bench`.
        metavars: Placeholder for the value in the help page, by parameter, e.g. `out="DIR"`.

    Raises:
        TypeError: A name in `metavars` is not a parameter of the verb.
    """
    declared = declaration(verb)
    unknown = metavars.keys() - {each.name for each in declared.parameters}
    if unknown:
        raise TypeError(f"bench.{verb} has no parameter {', '.join(sorted(unknown))}")

    def decorate(present: Present) -> Present:
        def called(**values: Any) -> None:
            given = {each.name: values.pop(each.name) for each in declared.parameters}
            try:
                present(given, **values)
            except KeyboardInterrupt:  # typer would end without a word
                say("gradest: interrupted; what is finished is saved", err)
                raise typer.Exit(INTERRUPTED) from None

        shared = [_typed(each, metavars.get(each.name)) for each in declared.parameters]
        called.__signature__ = inspect.Signature([*shared, *_own(present)])  # pyright: ignore[reportFunctionMemberAccess]
        called.__doc__ = declared.text
        return called

    return decorate


def _typed(parameter: Parameter, metavar: str | None) -> inspect.Parameter:
    """Returns the parameter in typer's form."""
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
    """Yields the presenter's own options, which control how the result is shown."""
    for each in [*inspect.signature(present).parameters.values()][1:]:
        yield _keyword(each.name, each.annotation, each.default)


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
