"""Names that have moved: the old one works for one minor version, and says the new one."""

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any


def moved(old: str, new: str, *, until: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module whose content is now in the module `new`; it warns at each name that is read.

    `until`: the version that no longer has the old module. The warning is a `FutureWarning`, which Python shows to
    the users of a plug-in and not to its author alone.
    """

    def attribute(name: str) -> Any:
        if name.startswith("__"):  # Python's own questions about a module
            raise AttributeError(f"module {old!r} has no attribute {name!r}")
        value = getattr(import_module(new), name)
        said = f"{old}.{name} is now {new}.{name}; the old name goes with gradest {until}"
        warnings.warn(said, FutureWarning, stacklevel=2)
        return value

    return attribute
