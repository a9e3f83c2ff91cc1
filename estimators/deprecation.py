"""Deprecated module names: the old name works for one minor version and warns with the new name."""

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any


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
