"""`gradest check`: every check of one subject, named or in a user's file, and how each ended."""

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bench.catalogue.listing import REGISTRIES
from bench.display.notebook import InNotebooks
from bench.display.terminal import frame
from bench.distributions.base import Family
from bench.objectives.base import Target
from bench.plugins.files import load_file, load_files
from bench.validation.checks import CheckFailed, checks_of
from estimators.checks.expected import expected_failures
from estimators.core import Estimator
from estimators.errors import BadInput, at_least, nearest

CHECKED_TYPES = (Estimator, Family, Target)


@dataclass(frozen=True)
class Conformance(InNotebooks):
    """How the checks of one subject ended: a row each in `checks` (`check`, `outcome`, `detail`)."""

    subject: str
    checks: pd.DataFrame

    def __rich__(self) -> object:
        return frame(self.checks, self.subject)

    @property
    def failed(self) -> bool:
        return bool((self.checks["outcome"] == "failed").any())


def check(name: str, *, seed: int = 0, plugin: str | Path | Iterable[str | Path] = ()) -> Conformance:
    """Checks an estimator, distribution or objective: does it keep the contract, are its claims true?

    It is checked at its default settings.

    Args:
        name: A registered name, or a class in a file: FILE.py:CLASS.
        seed: Seed of the draws that the checks make.
        plugin: Python file that registers plug-ins; several are allowed.

    Raises:
        BadInput: There is no such name or class, or it cannot be made with its default settings.

    >>> check("bernoulli").failed
    False
    """
    at_least(0, "seed", seed)
    load_files(plugin)
    subject = found(name)
    return Conformance(
        repr(subject), pd.DataFrame(check_outcomes(subject, seed), columns=["check", "outcome", "detail"])
    )


def check_outcomes(subject: Any, seed: int) -> Iterator[tuple[str, str, str]]:
    """passed; failed, with the numbers; or failed as expected, with the reason."""
    expected = expected_failures(subject) if isinstance(subject, Estimator) else {}
    for name, checked in checks_of(subject, seed=seed, expected_failures=expected):
        try:
            checked(subject)
        except CheckFailed as error:
            yield name, "failed", str(error)
        else:
            yield name, "as expected" if name in expected else "passed", expected.get(name, "")


def found(name: str) -> Any:
    """The subject that `gradest check` was asked for; raises `BadInput` where there is none."""
    file, colon, wanted = name.rpartition(":")
    if colon and file.endswith(".py"):
        return of_file(Path(file), wanted)
    for registry in REGISTRIES.values():
        if name in registry.available():
            return registry.get(name)
    if colon and Path(file).suffix:
        raise BadInput(f"{file} is no Python file; its name must end in .py")
    if name.endswith(".py"):
        raise BadInput(f"say which class of {name} is to be checked: {name}:CLASS")
    known = [each for registry in REGISTRIES.values() for each in registry.available()]
    raise BadInput(f"there is nothing called {name!r}; {nearest(name, known)}")


def of_file(file: Path, wanted: str) -> Any:
    """An instance, at its defaults, of the class that is called `wanted` in a user's file."""
    module = load_file(file)
    known = {
        name: cls
        for name, cls in vars(module).items()
        if inspect.isclass(cls) and cls.__module__ == module.__name__ and issubclass(cls, CHECKED_TYPES)
    }
    if wanted not in known:
        told = nearest(wanted, known) if known else "it defines no estimator, distribution or objective"
        raise BadInput(f"there is no class {wanted!r} to check in {file}; {told}")
    try:
        return known[wanted]()
    except TypeError as error:
        raise BadInput(f"{wanted} of {file} cannot be made with its default settings: {error}") from error
