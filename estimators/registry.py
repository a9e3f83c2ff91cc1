"""Names for plug-ins: one registry class serves estimators, distributions and objectives."""

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Generic, TypeVar

from estimators.core import Estimator
from estimators.errors import BadInput, nearest

T = TypeVar("T")
S = TypeVar("S")


class Registry(Generic[T]):
    """Classes by name; `get` builds one from its name and settings."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._classes: dict[str, type[T]] = {}

    def register(self, name: str) -> Callable[[type[S]], type[S]]:
        """A class decorator. A name that another class holds already is an error that names both owners."""

        def add(cls: type[S]) -> type[S]:
            holder = self._classes.get(name)
            if holder is not None and owner(holder) != owner(cls):
                raise BadInput(
                    f"{self.kind} name {name!r} is registered twice: by {owner(holder)} and by {owner(cls)}; "
                    "rename one of them"
                )
            self._classes[name] = cls  # type: ignore[assignment]
            cls.name = name  # type: ignore[attr-defined]
            return cls

        return add

    def lookup(self, name: str) -> type[T]:
        """The class called `name`; raises `BadInput` with the nearest name."""
        if name not in self._classes:
            raise BadInput(f"there is no {self.kind} {name!r}; {nearest(name, self._classes)}")
        return self._classes[name]

    def get(self, name: str, **settings: Any) -> T:
        """An instance with these settings; a setting that is itself a `{"name": …}` table is built first."""
        cls = self.lookup(name)
        assert is_dataclass(cls), f"{owner(cls)} must be a dataclass"
        known = [field.name for field in fields(cls) if field.init and not field.metadata.get("private")]
        for key in settings:
            if key not in known:
                raise BadInput(f"{self.kind} {name!r} has no setting {key!r}; {nearest(key, known)}")
        built = {key: self.get(**value) if is_spec(value) else value for key, value in settings.items()}
        try:
            return cls(**built)
        except TypeError as error:
            raise BadInput(f"{self.kind} {name!r}: {error}") from error

    def available(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._classes)

    def __iter__(self) -> Iterator[tuple[str, type[T]]]:
        return iter(sorted(self._classes.items()))


def owner(cls: type) -> str:
    """Where a class is defined, as `module.Class`."""
    return f"{cls.__module__}.{cls.__qualname__}"


def is_spec(value: Any) -> bool:
    """Whether a setting is a nested `{"name": …, settings…}` table."""
    return isinstance(value, dict) and "name" in value


estimators: Registry[Estimator] = Registry("estimator")
register = estimators.register
get = estimators.get
available = estimators.available
