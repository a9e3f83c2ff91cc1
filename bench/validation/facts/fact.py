"""A fact: a known result about gradient estimators that gradest reproduces.

A fact is a generator function with the decorator `@fact(group, …)`. Its name is the fact's name, its docstring the
statement. It measures with the given sampler and yields checks, pictures and rows.
"""

import importlib.util
import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.provenance.identity import installed_digest
from bench.validation.facts.sampler import Sampler
from estimators.errors import BadInput

FACT_GROUPS = {
    "course": "results taught in a course on gradient estimation",
    "closed_form": "results with a closed form",
    "published": "results of papers",
    "training": "the same estimators in training",
    "language": "losses over rollouts of language models",
}
FactGroup = Literal["course", "closed_form", "published", "training", "language"]
Relation = Literal["=", "<", ">"]


@dataclass(frozen=True)
class Check:
    """A measured number and its expected value; `low` and `high` are the ends of the measurement's interval.

    An equality holds if the interval contains the expected number and is short enough: its half is at most `within`
    times `scale` (default: the expected number). An inequality holds if the whole interval satisfies it.

    >>> Check("E x", expected=1.0, measured=1.01, low=0.99, high=1.03).holds
    True
    >>> Check("E x", expected=1.0, measured=1.4, low=0.2, high=2.6).holds  # the interval is too long
    False
    """

    what: str
    expected: float
    measured: float
    low: float
    high: float
    relation: Relation = "="
    within: float = 0.1
    scale: float | None = None

    @property
    def resolution(self) -> float:
        """Half of the interval, relative to `scale` (default: the expected number)."""
        size = abs(self.expected) if self.scale is None else self.scale
        half = (self.high - self.low) / 2
        return half / size if size else (math.inf if half else 0.0)

    @property
    def holds(self) -> bool:
        """True if the number is reproduced."""
        if self.relation == "<":
            return bool(self.high < self.expected)
        if self.relation == ">":
            return bool(self.low > self.expected)
        return bool(self.low <= self.expected <= self.high and self.resolution <= self.within)


def near(what: str, expected: float, measured: float, error: float, within: float = 0.1, **more: float) -> Check:
    """Checks that the measured number equals the expected number; `error` is half of its interval."""
    return Check(what, expected, measured, measured - error, measured + error, "=", within, **more)


def printed(what: str, number: str, computed: float) -> Check:
    """Checks that a computed number agrees with a printed number in all printed digits.

    >>> printed("π", "3.1416", math.pi).holds, printed("π", "3.1415", math.pi).holds
    (True, False)
    """
    digits = number.split("e")
    places = len(digits[0].partition(".")[2])
    half = 0.5 * 10.0 ** (int(digits[1] if len(digits) > 1 else 0) - places) * (1 + 1e-9)
    return near(f"{what}, as printed", float(number), computed, half, within=math.inf)


def exact(what: str, expected: float, computed: float, error: float = 1e-9, scale: float | None = None) -> Check:
    """Checks that two computations agree; `error` is relative to `scale` (default: the expected number)."""
    size = abs(expected) if scale is None else scale
    return Check(what, expected, computed, computed - error * size, computed + error * size, scale=size or 1.0)


def below(what: str, bound: float, measured: float, error: float = 0.0) -> Check:
    """Checks that the measured number, with `error` as half of its interval, is less than `bound`."""
    return Check(what, bound, measured, measured - error, measured + error, "<")


def above(what: str, bound: float, measured: float, error: float = 0.0) -> Check:
    """Checks that the measured number, with `error` as half of its interval, is more than `bound`."""
    return Check(what, bound, measured, measured - error, measured + error, ">")


@dataclass(frozen=True)
class Curve:
    """A curve of a picture; `low` and `high`, if given, are drawn as a band around it.

    "tiles" are the cells of a map that belong to the label."""

    label: str
    x: list[float]
    y: list[float]
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    style: Literal["line", "points", "steps", "dashed", "tiles"] = "line"


@dataclass(frozen=True)
class Picture:
    """Curves over one pair of axes. `log` names the logarithmic axes."""

    title: str
    x: str
    y: str
    curves: list[Curve]
    log: Literal["", "x", "y", "xy"] = ""


@dataclass(frozen=True)
class Rows:
    """Measurements for a tidy table, `<name>.csv`: columns of equal length. Facts may share a table."""

    name: str
    columns: dict[str, list[Any]]


FactResults = Iterator[Check | Picture | Rows]


@dataclass(frozen=True)
class Fact:
    """A registered fact.

    `cite`: its source. `slow`: True if it takes more than a few seconds; `--quick` leaves it out. `needs`: required
    package, from gradest's optional extra `extra`; without it the fact is not run.
    """

    name: str
    group: FactGroup
    topic: str
    cite: str
    slow: bool
    measure: Callable[[Sampler], FactResults]
    needs: str = ""
    extra: str = ""

    @property
    def lacking(self) -> str:
        """Why the fact cannot be measured here: the missing package and how to install it. Else empty."""
        if not self.needs or importlib.util.find_spec(self.needs):
            return ""
        return f'{self.needs} is not installed: pip install "gradest[{self.extra}]"'

    @property
    def statement(self) -> str:
        """The claim, in one line."""
        return " ".join((inspect.getdoc(self.measure) or "").split())


FACTS: dict[str, Fact] = {}

SOURCE = installed_digest()
"""Digest of all of gradest, because a fact may depend on any part. Computed at import, because a file may be edited
while facts are measured."""


def fact(
    group: FactGroup, topic: str, cite: str, *, slow: bool = False, needs: str = "", extra: str = ""
) -> Callable[[Callable[[Sampler], FactResults]], Callable[[Sampler], FactResults]]:
    """Returns a decorator that registers a generator function as a fact.

    Args:
        group: Group of the fact.
        topic: Topic of the fact.
        cite: Source of the fact.
        slow: True if the fact takes more than a few seconds.
        needs: Package that the fact requires.
        extra: Name of gradest's optional extra that installs the package.

    Raises:
        BadInput: A fact of the same name exists.
    """

    def add(measure: Callable[[Sampler], FactResults]) -> Callable[[Sampler], FactResults]:
        name = measure.__name__
        if name in FACTS:
            raise BadInput(f"two facts are called {name!r}")
        FACTS[name] = Fact(name, group, topic, cite, slow, measure, needs, extra)
        return measure

    return add
