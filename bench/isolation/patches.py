"""Which functions and classes were replaced in modules that are already imported."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import is_
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType, ModuleType, WrapperDescriptorType
from typing import Any

WRAPPED = (staticmethod, classmethod, property)
CODE = (FunctionType, BuiltinFunctionType, MethodDescriptorType, WrapperDescriptorType, type, *WRAPPED)
"""Types of values that determine what a program computes."""
OF_PYTHON = {"__annotations__", "__abstractmethods__", "_abc_impl", "__slotnames__", "__doc__", "__weakref__",
             "__annotations_cache__", "__annotate_func__", "__parameters__"}  # fmt: skip
"""Attributes of classes that Python itself adds or replaces."""
Inside = tuple[Any, Any, Any]
"""The code of a function, and its defaults."""


@dataclass(frozen=True)
class _Place:
    """A table of names as it is `now`, and as it was at the first look (`before`).

    `whole`: other values and added names count too, as in a class, where they hide what is inherited.
    """

    now: Mapping[str, Any]
    before: dict[str, Any]
    whole: bool

    def changed(self) -> list[str]:
        if len(self.now) == len(self.before) and all(map(is_, self.now.values(), self.before.values())):
            return []
        names = {**self.before, **self.now} if self.whole else self.before
        return [name for name in names if str(name) not in OF_PYTHON and self._other(name)]

    def _other(self, name: str) -> bool:
        before = self.before.get(name)
        same = name in self.now and name in self.before and self.now[name] is before
        return not same and (self.whole or isinstance(before, CODE))


class Patches:
    """Remembers the code in modules, in their classes and in their registries; `found()` names what was replaced.

    Args:
        modules: The modules that are watched; a name that ends in `.*` stands for a package and all inside it.

    >>> import textwrap
    >>> patches, fill = Patches(["textwrap"]), textwrap.TextWrapper.fill
    >>> textwrap.TextWrapper.fill = len
    >>> patches.found()
    ['textwrap.TextWrapper.fill']
    >>> textwrap.TextWrapper.fill = fill
    """

    def __init__(self, modules: Iterable[str]) -> None:
        modules = [*modules]
        self._names = {name for name in modules if not name.endswith(".*")}
        self._packages = {name.removesuffix(".*") for name in modules if name.endswith(".*")}
        self._places: dict[str, _Place] = {}
        self._functions: dict[FunctionType, Inside] = {}
        self._imported = 0
        self.look()

    def look(self) -> None:
        """Remembers watched modules that were imported since the last look."""
        if len(sys.modules) == self._imported:
            return
        self._imported = len(sys.modules)
        for name, module in [*sys.modules.items()]:
            if name not in self._places and isinstance(module, ModuleType) and self._watched(name):
                self._remember(name, _Place(vars(module), dict(vars(module)), whole=False))
                for key, value in [*vars(module).items()]:
                    for path, inner in _inside(value, name):
                        self._remember(f"{name}.{key}{path}", inner)

    def found(self) -> list[str]:
        """The dotted names that hold another value than at the first look, or that were added to a class."""
        replaced = [f"{path}.{name}" for path, place in self._places.items() for name in place.changed()]
        inside = [each for each, before in self._functions.items() if not all(map(is_, before, _parts(each)))]
        return replaced + [f"{each.__module__}.{each.__qualname__}" for each in inside]

    def _remember(self, path: str, place: _Place) -> None:
        self._places[path] = place
        for value in place.before.values():
            inner = value.fget if isinstance(value, property) else value
            inner = inner.__func__ if isinstance(inner, staticmethod | classmethod) else inner
            if isinstance(inner, FunctionType):
                self._functions.setdefault(inner, _parts(inner))

    def _watched(self, name: str) -> bool:
        return name in self._names or any(f"{name}.".startswith(f"{each}.") for each in self._packages)


def _inside(value: Any, module: str) -> list[tuple[str, _Place]]:
    """The tables of a module's value: of a class of the module, of a dict, of a registry."""
    if isinstance(value, type):
        return [("", _Place(vars(value), dict(vars(value)), whole=True))] if value.__module__ == module else []
    if isinstance(value, dict):
        return [("", _Place(value, dict(value), whole=False))]
    if type(value).__module__ == "estimators.registry":
        return [
            (f".{key}", _Place(inner, dict(inner), False)) for key, inner in vars(value).items() if type(inner) is dict
        ]
    return []


def _parts(function: FunctionType) -> Inside:
    return function.__code__, function.__defaults__, function.__kwdefaults__
