"""A fact: something known of gradient estimators, and how gradest shows it again.

A fact is a generator function with `@fact(group, …)`: its name is the fact's name, its docstring the statement, and it
yields checks, and pictures, of what it measures with the sampler that it is given.
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
    "course": "what a student of gradient estimation is told",
    "closed_form": "numbers that a pencil gives",
    "published": "results of papers",
    "training": "the same estimators in training",
}
FactGroup = Literal["course", "closed_form", "published", "training"]
Relation = Literal["=", "<", ">"]


@dataclass(frozen=True)
class Check:
    """One number against what is known of it; `low` and `high` are the ends of the measurement's own interval.

    An equality holds where the interval has the expected number in it and is short enough to mean something: its half
    is at most `within` of `scale`, which is the expected number if it is not given. An order holds where the whole
    interval is on the right side.

    >>> Check("E x", expected=1.0, measured=1.01, low=0.99, high=1.03).holds
    True
    >>> Check("E x", expected=1.0, measured=1.4, low=0.2, high=2.6).holds  # says nothing
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
        """Half of the interval, relative to the expected number or to `scale`."""
        size = abs(self.expected) if self.scale is None else self.scale
        half = (self.high - self.low) / 2
        return half / size if size else (math.inf if half else 0.0)

    @property
    def holds(self) -> bool:
        if self.relation == "<":
            return bool(self.high < self.expected)
        if self.relation == ">":
            return bool(self.low > self.expected)
        return bool(self.low <= self.expected <= self.high and self.resolution <= self.within)


def near(what: str, expected: float, measured: float, error: float, within: float = 0.1, **more: float) -> Check:
    """The measured number is the expected one, give or take `error`, the half of its interval."""
    return Check(what, expected, measured, measured - error, measured + error, "=", within, **more)


def printed(what: str, number: str, computed: float) -> Check:
    """A computed number agrees with a printed one in all its digits.

    >>> printed("π", "3.1416", math.pi).holds, printed("π", "3.1415", math.pi).holds
    (True, False)
    """
    digits = number.split("e")
    places = len(digits[0].partition(".")[2])
    half = 0.5 * 10.0 ** (int(digits[1] if len(digits) > 1 else 0) - places) * (1 + 1e-9)
    return near(f"{what}, as printed", float(number), computed, half, within=math.inf)


def exact(what: str, expected: float, computed: float, error: float = 1e-9, scale: float | None = None) -> Check:
    """Two ways to compute a number agree; `error` is relative to the expected number, or to `scale`."""
    size = abs(expected) if scale is None else scale
    return Check(what, expected, computed, computed - error * size, computed + error * size, scale=size or 1.0)


def below(what: str, bound: float, measured: float, error: float = 0.0) -> Check:
    """The measured number is surely less than `bound`."""
    return Check(what, bound, measured, measured - error, measured + error, "<")


def above(what: str, bound: float, measured: float, error: float = 0.0) -> Check:
    """The measured number is surely more than `bound`."""
    return Check(what, bound, measured, measured - error, measured + error, ">")


@dataclass(frozen=True)
class Curve:
    """One line of a picture; `low` and `high`, where given, are drawn as a band around it."""

    label: str
    x: list[float]
    y: list[float]
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    style: Literal["line", "points", "steps", "dashed"] = "line"


@dataclass(frozen=True)
class Picture:
    """What a fact shows: curves over one pair of axes. `log` names the axes that are logarithmic."""

    title: str
    x: str
    y: str
    curves: list[Curve]
    log: Literal["", "x", "y", "xy"] = ""


@dataclass(frozen=True)
class Rows:
    """Measurements that are kept as a tidy table, `<name>.csv`: its columns, of one length. Facts may share a table."""

    name: str
    columns: dict[str, list[Any]]


FactResults = Iterator[Check | Picture | Rows]


@dataclass(frozen=True)
class Fact:
    """`cite`: where it is from. `slow`: it takes more than a few seconds and is left out by `--quick`. `needs`: a
    package of gradest's optional extra of the name `extra`, without which the fact is not run."""

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
        """Why it cannot be measured here: the package that it needs and how to have it; else empty."""
        if not self.needs or importlib.util.find_spec(self.needs):
            return ""
        return f'{self.needs} is not installed: pip install "gradest[{self.extra}]"'

    @property
    def statement(self) -> str:
        """What is claimed, as one line."""
        return " ".join((inspect.getdoc(self.measure) or "").split())


FACTS: dict[str, Fact] = {}

SOURCE = installed_digest()
"""Of all of gradest, on which a fact may stand. Taken at import, as a file may be edited while facts are measured."""


def fact(
    group: FactGroup, topic: str, cite: str, *, slow: bool = False, needs: str = "", extra: str = ""
) -> Callable[[Callable[[Sampler], FactResults]], Callable[[Sampler], FactResults]]:
    """Registers a generator function as a fact of that group; facts of one topic share a picture."""

    def add(measure: Callable[[Sampler], FactResults]) -> Callable[[Sampler], FactResults]:
        name = measure.__name__
        if name in FACTS:
            raise BadInput(f"two facts are called {name!r}")
        FACTS[name] = Fact(name, group, topic, cite, slow, measure, needs, extra)
        return measure

    return add
