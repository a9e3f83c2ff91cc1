"""Names for plug-ins: the same registry class serves estimators, distributions and objectives."""

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any, Generic, NoReturn, TypeVar

from estimators.core import Estimator
from estimators.discovery import Broken, installed, unfinished, unfit_name
from estimators.errors import BadInput, nearest
from estimators.text import visible

_T = TypeVar("_T")
_S = TypeVar("_S")


class Registry(Generic[_T]):
    """Classes by name; `get` builds an instance from a name and settings.

    Classes of installed packages are added when a name is unknown so far or when all names are listed. `broken` lists
    the plug-ins that cannot be used, with the reason.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._classes: dict[str, type[_T]] = {}
        self._broken: list[Broken] = []
        self._discovered = False

    def register(self, name: str) -> Callable[[type[_S]], type[_S]]:
        """Returns a class decorator that registers a class under `name`.

        Raises `BadInput` if another class holds the name (the message names both owners), if the class is incomplete
        (the message says what is missing), or if the name is not a text that prints.
        """

        def add(cls: type[_S]) -> type[_S]:
            reason = unfinished(cls) or unfit_name(name)
            if reason:
                raise BadInput(f"{self.kind} {name!r} cannot be registered: {reason}")
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

    def lookup(self, name: str) -> type[_T]:
        """Returns the class called `name`. Raises `BadInput` with the nearest name if there is none."""
        if name not in self._classes:
            self.discover()
        if name not in self._classes:
            self._refuse(name)
        return self._classes[name]

    def _refuse(self, name: str) -> NoReturn:
        for broken in self._broken:
            if broken.name == name:
                raise BadInput(f"{self.kind} {name!r} of {broken.package} cannot be used: {broken.reason}")
        raise BadInput(f"there is no {self.kind} {name!r}; {nearest(name, self._classes)}")

    def discover(self) -> None:
        """Registers the plug-ins of installed packages, once. A plug-in that fails does not affect the others."""
        if self._discovered:
            return
        self._discovered = True
        for point, package in installed(self.kind):
            try:
                self._join(point.name, point.load())
            except Exception as error:
                reason = str(error) if isinstance(error, BadInput) else f"{type(error).__name__}: {error}"
                self._broken.append(Broken(point.name, package, reason))

    def _join(self, name: str, cls: type) -> None:
        """Registers a package's class, unless the class has registered itself under this name."""
        own = next((known for known, holder in self._classes.items() if holder is cls), name)
        if own != name:
            raise BadInput(f"its entry point is called {name!r}, but it registers itself as {own!r}")
        self.register(name)(cls)

    def broken(self) -> list[Broken]:
        """Returns the plug-ins of installed packages that cannot be used."""
        self.discover()
        return list(self._broken)

    def get(self, name: str, **settings: Any) -> _T:
        """Returns an instance of the class `name` with these settings; nested `{"name": …}` tables are built first.

        Raises `BadInput` if the name or a setting is unknown, or if the class rejects a value.
        """
        cls = self.lookup(name)
        settings_of = fields(cls)  # pyright: ignore[reportArgumentType]  (`register` has checked: a dataclass)
        known = [field.name for field in settings_of if field.init and not field.metadata.get("private")]
        for key in settings:
            if key not in known:
                raise BadInput(f"{self.kind} {name!r} has no setting {key!r}; {nearest(key, known)}")
        built = {key: self.get(**value) if is_spec(value) else value for key, value in settings.items()}
        try:
            return cls(**built)
        except TypeError as error:
            raise BadInput(f"{self.kind} {name!r}: {error}") from error

    def available(self) -> list[str]:
        """Returns all names, sorted."""
        self.discover()
        return sorted(self._classes)

    def __iter__(self) -> Iterator[tuple[str, type[_T]]]:
        """Yields (name, class), sorted by name."""
        self.discover()
        return iter(sorted(self._classes.items()))


def owner(cls: type) -> str:
    """Returns where a class is defined, as `module.Class`; characters that do not print are shown as escapes."""
    return visible(f"{cls.__module__}.{cls.__qualname__}")


def is_spec(value: Any) -> bool:
    """Returns whether a setting is a nested `{"name": …, settings…}` table."""
    return isinstance(value, dict) and "name" in value


estimators: Registry[Estimator] = Registry("estimator")
register = estimators.register
get = estimators.get
available = estimators.available
