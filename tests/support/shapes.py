"""Types checked while tests run: shapes by jaxtyping, in one memory per call; plain types by beartype alone.

jaxtyping's own hook wraps every function, which binds its arguments and checks them twice: with it the tests take twice
as long. Here it wraps what has a shape in its types. A function inside of a function has its plain types from pyright
alone: beartype would write its check again in every call of the outer one.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import jaxtyping
from jaxtyping import install_import_hook

jaxtyped = jaxtyping.jaxtyped


def with_shapes(function: Callable[..., Any]) -> bool:
    """Whether a shape is among the function's types, or a type is written as text, which may be one.

    >>> with_shapes(lambda x: x)
    False
    """
    return any(isinstance(kind, str) or "jaxtyping" in repr(kind) for kind in function.__annotations__.values())


def checked(subject: Any, *, typechecker: Callable[[Any], Any]) -> Any:
    """What the hook puts around a function, a class or a property."""
    if not inspect.isfunction(subject) or with_shapes(subject):
        return jaxtyped(subject, typechecker=typechecker)
    return subject if "<locals>" in subject.__qualname__ else typechecker(subject)


def chosen(subject: Any = None, *, typechecker: Any) -> Any:
    """`jaxtyping.jaxtyped` as the hook calls it: with the type checker alone it gives a decorator."""
    return partial(checked, typechecker=typechecker) if subject is None else checked(subject, typechecker=typechecker)


def install() -> None:
    """For all modules of the two packages that are imported from now on."""
    jaxtyping.jaxtyped = chosen  # type: ignore[assignment]
    install_import_hook(["estimators", "bench"], "beartype.beartype")
