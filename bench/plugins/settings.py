"""Plug-ins from settings, type-checked, and settings of plug-ins as plain values."""

import json
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from functools import cache
from itertools import product
from math import isfinite
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from estimators.errors import BadInput, nearest
from estimators.registry import Registry, is_spec

_T = TypeVar("_T")


def build(registry: Registry[_T], name: str, settings: dict[str, Any], path: str) -> _T:
    """Returns the plug-in `name` with these settings. Raises BadInput, which names the `path` of the wrong setting.

    >>> import estimators.registry
    >>> build(estimators.registry.estimators, "rloo", {"k": 3}, "estimators[0]")
    Traceback (most recent call last):
    estimators.errors.BadInput: estimators[0].k: unknown setting; there is none
    """
    try:
        cls = registry.lookup(name)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    inner = {key: _nested(registry, value, f"{path}.{key}") for key, value in settings.items() if is_spec(value)}
    return checked(cls, settings, path, inner)


def checked(cls: type[_T], settings: dict[str, Any], path: str, inner: dict[str, Any] | None = None) -> _T:
    """Returns an instance of a dataclass from untrusted settings; raises BadInput at the first wrong one.

    `inner`: settings that are plug-ins themselves, already built."""
    inner = inner or {}
    hints, known = _hints(cls), public(cls)
    for key in settings:
        if key not in known:
            raise BadInput(f"{path}.{key}: unknown setting; {nearest(key, known) if known else 'there is none'}")
    typed = {
        key: inner[key] if key in inner else _typed(hints.get(key, Any), value, f"{path}.{key}")
        for key, value in settings.items()
    }
    try:
        return cls(**typed)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{path}: {error}") from error


def combinations(settings: Mapping[str, Any], path: str) -> Iterator[dict[str, Any]]:
    """Yields the settings for each combination of their axes: a list is an axis.

    Raises BadInput if an axis is empty.

    >>> [*combinations({"t": [1, 2], "k": 3}, "here")]
    [{'t': 1, 'k': 3}, {'t': 2, 'k': 3}]
    """
    axes = {key: value if isinstance(value, list) else [value] for key, value in settings.items()}
    for key, values in axes.items():
        if not values:
            raise BadInput(f"{path}.{key}: an axis needs at least one value")
    for values in product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


LATER: Mapping[str, Any] = MappingProxyType({"later": True})
"""`field(default=…, metadata=LATER)` declares a setting added after results of its class were published."""


def plain(instance: Any) -> dict[str, Any]:
    """Returns all settings of a plug-in as JSON values, with defaults; an inner plug-in is a `{"name": …}` table."""
    return {key: _plain(getattr(instance, key), plain) for key in public(type(instance))}


def identifying(instance: Any) -> dict[str, Any]:
    """Returns the settings that determine a cell's id: `plain` without `LATER` settings at their default.

    So a new setting changes no existing id, seed or result.

    >>> from dataclasses import dataclass, field
    >>> @dataclass(frozen=True)
    ... class Settings:
    ...     old: int = 1
    ...     new: int = field(default=2, metadata=LATER)
    >>> identifying(Settings()), identifying(Settings(new=3))
    ({'old': 1}, {'old': 1, 'new': 3})
    """
    own = {field.name: field for field in fields(instance)}
    values = {key: getattr(instance, key) for key in public(type(instance))}
    kept = {
        key: value
        for key, value in values.items()
        if not (own[key].metadata.get("later") and value == own[key].default)
    }
    return {key: _plain(value, identifying) for key, value in kept.items()}


@cache
def public(cls: type) -> tuple[str, ...]:
    """Returns the names of a plug-in's settings: its init fields that are not private."""
    return tuple(field.name for field in fields(cls) if field.init and not field.metadata.get("private"))


def _plain(value: Any, settings: Callable[[Any], dict[str, Any]]) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {"name": value.name, **settings(value)}
    return list(value) if isinstance(value, tuple | frozenset) else value


def _nested(registry: Registry[_T], value: dict[str, Any], path: str) -> _T:
    return build(registry, value["name"], {key: inner for key, inner in value.items() if key != "name"}, path)


@cache
def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except NameError:  # a plug-in's annotation that only a type checker can resolve
        return {}


@cache
def _adapter(hint: Any) -> TypeAdapter | None:
    try:
        return TypeAdapter(hint)
    except PydanticUserError:
        return None


def _typed(hint: Any, value: Any, path: str) -> Any:
    if isinstance(value, float) and not isfinite(value):
        raise BadInput(f"{path}: must be a finite number, not {value}")
    adapter = _adapter(hint)
    if adapter is None:
        raise BadInput(f'{path}: must be a table such as {{ name = "…" }}, not {value!r}')
    try:
        text = json.dumps(value)
    except TypeError:  # TOML has dates and times
        raise BadInput(f"{path}: must be a number, a text or a table, not {value}") from None
    try:
        return adapter.validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]["msg"]
        raise BadInput(f"{path}: {first[:1].lower()}{first[1:]}, not {value!r}") from None
