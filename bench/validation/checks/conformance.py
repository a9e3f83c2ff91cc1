"""`gradest check`: runs every check of one subject, registered or in a user's file, and reports the outcomes."""

import inspect
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bench.catalogue.listing import REGISTRIES
from bench.display.notebook import InNotebooks
from bench.display.terminal import frame
from bench.distributions.base import Family
from bench.isolation.child import refuse_inside
from bench.isolation.endings import Raised, Returned
from bench.isolation.process import Process
from bench.isolation.script import without_main
from bench.objectives.base import Target
from bench.plugins.files import load_file, load_files
from bench.validation.checks import CheckFailed, checks_of
from estimators.checks.expected import expected_failures
from estimators.core import Estimator
from estimators.errors import BadInput, nearest, whole_number

CHECKED_TYPES = (Estimator, Family, Target)


@dataclass(frozen=True)
class Conformance(InNotebooks):
    """The outcomes of the checks of one subject: `checks` has a row each (`check`, `outcome`, `detail`)."""

    subject: str
    checks: pd.DataFrame

    def __rich__(self) -> object:
        return frame(self.checks, self.subject)

    @property
    def failed(self) -> bool:
        """True if a check failed unexpectedly."""
        return bool((self.checks["outcome"] == "failed").any())


def check(name: str, *, seed: int = 0, plugin: str | Path | Iterable[str | Path] = ()) -> Conformance:
    """Checks an estimator, distribution or objective: does it keep the contract, are its claims true?

    The subject is checked at its default settings. The checks of a plug-in or of a class in a file run in a separate
    process: one that ends its process, or takes longer than 120 s, fails its check, and is the last that runs.

    Args:
        name: A registered name, or a class in a file: FILE.py:CLASS.
        seed: Seed of the draws that the checks make.
        plugin: Python file that registers plug-ins; several are allowed.

    Raises:
        BadInput: There is no such name or class, or the class cannot be created with its default settings.

    >>> check("bernoulli").failed
    False
    """
    whole_number(0, "seed", seed)
    files = tuple(str(file) for file in ([plugin] if isinstance(plugin, str | Path) else plugin))
    if files or ".py" in name:
        refuse_inside("gradest.check")
        subject, rows = in_a_process(name, seed, files)
    else:
        own = SubjectChecks(name, seed)
        subject, rows = repr(own.subject), [own.outcome(each) for each in own.checks]
    return Conformance(subject, pd.DataFrame(rows, columns=["check", "outcome", "detail"]))


CheckOutcome = tuple[str, str, str]
"""Check, outcome, detail: "passed", "failed" with the numbers as detail, or "as expected" with the reason as detail."""


class SubjectChecks:
    """The checks of one subject by name; raises BadInput if there is no such subject, or it cannot be made."""

    def __init__(self, name: str, seed: int, files: tuple[str, ...] = ()) -> None:
        load_files(files)
        self.subject = found(name)
        self.expected = expected_failures(self.subject) if isinstance(self.subject, Estimator) else {}
        self.checks = dict(checks_of(self.subject, seed=seed, expected_failures=self.expected))

    def outcome(self, name: str) -> CheckOutcome:
        """Runs one check."""
        try:
            self.checks[name](self.subject)
        except CheckFailed as error:
            return name, "failed", encodable(str(error))
        return name, "as expected" if name in self.expected else "passed", self.expected.get(name, "")


def encodable(text: str) -> str:
    """Returns a class's own text with half characters escaped: neither a table nor a terminal takes them.

    >>> encodable("half " + chr(0xD800))
    'half \\\\ud800'
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


SECONDS_PER_CHECK = 120.0
"""The time limit of one check of a plug-in, and of importing its file."""


def in_a_process(name: str, seed: int, files: tuple[str, ...]) -> tuple[str, list[CheckOutcome]]:
    """Returns the subject's text and its outcomes, up to the first check that ends its process or takes too long."""
    with without_main(), closing(Process(serve_checks, name, seed, files)) as process:
        opened = process.do("", SECONDS_PER_CHECK)
        if not isinstance(opened, Returned):
            raise BadInput(str(opened) if isinstance(opened, Raised) else f"importing {name}: the process {opened}")
        subject, names = opened.value
        rows: list[CheckOutcome] = []
        for place, each in enumerate(names):
            ending = process.do(each, SECONDS_PER_CHECK)
            if isinstance(ending, Returned):
                rows.append(ending.value)
                continue
            if isinstance(ending, Raised):
                raise BadInput(f"{each} of {name} cannot run: {ending}")
            left = len(names) - place - 1
            rows.append((each, "failed", f"its process {ending}; {left} checks after it did not run"))
            break
    return subject, rows


def serve_checks(name: str, seed: int, files: tuple[str, ...]) -> Callable[[str, Any], Any]:
    """Returns the action of the process: "" opens the subject and returns its checks, a check's name runs it."""
    opened: list[SubjectChecks] = []

    def action(task: str, say: Any) -> Any:
        if task:
            return opened[0].outcome(task)
        opened.append(SubjectChecks(name, seed, files))
        return repr(opened[0].subject), [*opened[0].checks]

    return action


def found(name: str) -> Any:
    """Returns the subject that `gradest check` was asked for. Raises BadInput if there is none."""
    file, colon, wanted = name.rpartition(":")
    if colon and file.endswith(".py"):
        return of_file(Path(file), wanted)
    for registry in REGISTRIES.values():
        if name in registry.available():
            return registry.get(name)
    if colon and Path(file).suffix:
        raise BadInput(f"{file} is not a Python file; its name must end in .py")
    if name.endswith(".py"):
        raise BadInput(f"name the class of {name} to check: {name}:CLASS")
    known = [each for registry in REGISTRIES.values() for each in registry.available()]
    raise BadInput(f"there is nothing called {name!r}; {nearest(name, known)}")


def of_file(file: Path, wanted: str) -> Any:
    """Returns an instance, at default settings, of the class `wanted` in a user's file.

    Raises:
        BadInput: The file has no such class, or the class has settings without a default.
    """
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
