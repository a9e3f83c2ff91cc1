"""Deprecated names of modules and parameters: the old name works for one minor version and warns with the new name."""

import warnings
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def moved(old: str, new: str, *, until: str) -> Callable[[str], Any]:
    """Returns the `__getattr__` of a module whose content has moved to the module `new`. It warns for each name that is
    read.

    Args:
        old: name of the deprecated module.
        new: name of the module that has the content now.
        until: version in which the old module is removed.

    The warning is a `FutureWarning`, which Python also shows to the users of a plug-in, not only to its author.
    """

    def attribute(name: str) -> Any:
        if name.startswith("__"):  # names that Python itself looks up in a module
            raise AttributeError(f"module {old!r} has no attribute {name!r}")
        value = getattr(import_module(new), name)
        said = f"{old}.{name} is now {new}.{name}; the old name will be removed in gradest {until}"
        warnings.warn(said, FutureWarning, stacklevel=2)
        return value

    return attribute


def renamed(old: str, new: str, *, until: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Returns a decorator for a function whose keyword `old` is now called `new`: a call with the old one warns.

    Args:
        old: former name of the keyword.
        new: name of the keyword that has its meaning now.
        until: version in which the old keyword is removed.

    >>> @renamed("colour", "color", until="9.9")
    ... def paint(*, color: str = "white") -> str:
    ...     return color
    >>> with warnings.catch_warnings(action="ignore"):
    ...     paint(colour="red")
    'red'
    """

    def decorated(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def called(*args: P.args, **given: P.kwargs) -> R:
            if old in given and new not in given:
                said = f"{function.__name__}({old}=…) is now {new}=…; the old name will be removed in gradest {until}"
                warnings.warn(said, FutureWarning, stacklevel=2)
                given[new] = given.pop(old)
            return function(*args, **given)

        return called

    return decorated
