"""Discovery of plug-ins in installed packages by entry point, and the check that a class is complete."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from importlib.metadata import EntryPoint, entry_points

from estimators.text import visible

LONGEST = 1000
"""Characters of a name."""


@dataclass(frozen=True)
class Broken:
    """A plug-in that cannot be used: its name, its package and the reason."""

    name: str
    package: str
    reason: str


def installed(kind: str) -> Iterator[tuple[EntryPoint, str]]:
    """Yields the entry points of a kind (group `gradest.estimators`, …) with their packages, in a fixed order."""
    found = [(point, _package(point)) for point in entry_points(group=f"gradest.{kind}s")]
    yield from sorted(found, key=lambda each: (each[0].name, each[1]))


def unfinished(cls: object) -> str | None:
    """Returns what a class lacks before it can be registered, in words, or None if it is complete.

    >>> unfinished(int)
    'int is not a dataclass; decorate it with @dataclass(frozen=True)'
    """
    if not isinstance(cls, type):
        return f"{cls!r} is not a class"
    if not is_dataclass(cls):
        return f"{cls.__name__} is not a dataclass; decorate it with @dataclass(frozen=True)"
    undefined = sorted(getattr(cls, "__abstractmethods__", ()))
    if undefined:
        return f"{cls.__name__} does not define {' and '.join(undefined)}"
    missing = [name for name in _facts(cls) if not hasattr(cls, name)]
    return f"{cls.__name__} does not define its {' and '.join(missing)}" if missing else None


def unfit_name(name: object) -> str | None:
    """Returns why a class cannot be registered under a name, in words, or None if it can.

    >>> unfit_name("a\\nb")
    'a name is a text of at most 1000 characters, all of which print'
    """
    fits = isinstance(name, str) and name.strip() and len(name) <= LONGEST and visible(name) == name
    return None if fits else f"a name is a text of at most {LONGEST} characters, all of which print"


def _facts(cls: type) -> list[str]:
    """Returns the names of the class variables that a class and its bases declare, except `name`, which registering
    sets.
    """
    own = {
        name
        for base in cls.__mro__
        for name, annotation in inspect.get_annotations(base).items()
        if "ClassVar" in str(annotation)
    }
    return sorted(own - {"name"})


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else ""
