"""Plug-ins of installed packages, by entry point; and what a class lacks before it can be one."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from importlib.metadata import EntryPoint, entry_points


@dataclass(frozen=True)
class Broken:
    """A plug-in that cannot be used, the package it comes from, and why."""

    name: str
    package: str
    reason: str


def installed(kind: str) -> Iterator[tuple[EntryPoint, str]]:
    """The entry points of a kind (group `gradest.estimators`, …) with their packages, in a fixed order."""
    found = [(point, _package(point)) for point in entry_points(group=f"gradest.{kind}s")]
    yield from sorted(found, key=lambda each: (each[0].name, each[1]))


def unfinished(cls: object) -> str | None:
    """What a class lacks before it can be registered, in words; None when it is whole.

    >>> unfinished(int)
    'int is no dataclass; put @dataclass(frozen=True) on it'
    """
    if not isinstance(cls, type):
        return f"{cls!r} is no class"
    if not is_dataclass(cls):
        return f"{cls.__name__} is no dataclass; put @dataclass(frozen=True) on it"
    undefined = sorted(getattr(cls, "__abstractmethods__", ()))
    if undefined:
        return f"{cls.__name__} does not define {' and '.join(undefined)}"
    missing = [name for name in _facts(cls) if not hasattr(cls, name)]
    return f"{cls.__name__} does not say its {' and '.join(missing)}" if missing else None


def _facts(cls: type) -> list[str]:
    """The facts that a class and its bases declare, the name apart, which registering gives."""
    own = {
        name
        for base in cls.__mro__
        for name, annotation in inspect.get_annotations(base).items()
        if "ClassVar" in str(annotation)
    }
    return sorted(own - {"name"})


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else ""
