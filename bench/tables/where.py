"""The `--where` language: comparisons of identity columns, joined by and, or, not and parentheses.

    estimator in ["rloo", "reinforce"] and not (samples < 4 or distribution.size == 200)

Filters are parsed here and never evaluated by Python, so a filter from a file cannot run code. A name is an identity
column (`FILTER_NAMES`) or a setting: `estimator.temperature`, `distribution.size`, `objective.t`. A comparison is false
if the row does not have the setting, or if one side is a number and the other a text.
"""

import json
import operator
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pandas as pd

from estimators.errors import BadInput, nearest

FILTER_NAMES = (
    "cell",
    "estimator",
    "distribution",
    "objective",
    "coordinates",
    "point",
    "dim",
    "kind",
    "samples",
    "seed",
    "device",
    "dtype",
    "mode",
)
"""The columns that a filter can name; for estimator, distribution and objective also their settings."""

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
MAX_LENGTH, MAX_DEPTH = 10_000, 50
Facts = Mapping[str, Any]

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?![\w.])
    |(?P<text>"[^"]*"|'[^']*')
    |(?P<word>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?)
    |(?P<sign>==|!=|<=|>=|<|>|\(|\)|\[|\]|,))""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Token:
    """A word, number, text or sign of a filter, and its position in the text."""

    kind: str
    text: str
    position: int


class Filter(ABC):
    """A parsed filter: called with the values of a row, it says whether the row is chosen."""

    @abstractmethod
    def __call__(self, facts: Facts) -> bool:
        """Whether a row with these values is chosen; see `filter_facts`."""

    @abstractmethod
    def columns(self) -> set[str]:
        """The names of the columns of the table that the filter reads."""


@dataclass(frozen=True)
class ColumnTest(Filter):
    """Compares a column or a setting with a value."""

    name: str
    sign: str
    value: Any

    def __call__(self, facts: Facts) -> bool:
        return _compare(OPERATORS[self.sign], facts.get(self.name), self.value)

    def columns(self) -> set[str]:
        head, _, setting = self.name.partition(".")
        return {f"{head}_params" if setting else head}


@dataclass(frozen=True)
class Joined(Filter):
    """Several filters, joined by a word."""

    parts: tuple[Filter, ...]

    def columns(self) -> set[str]:
        return set().union(*(part.columns() for part in self.parts))


class Both(Joined):
    """Chooses the rows that all of its parts choose."""

    def __call__(self, facts: Facts) -> bool:
        return all(part(facts) for part in self.parts)


class Either(Joined):
    """Chooses the rows that any of its parts chooses."""

    def __call__(self, facts: Facts) -> bool:
        return any(part(facts) for part in self.parts)


@dataclass(frozen=True)
class Negated(Filter):
    """Chooses the rows that its part does not choose."""

    part: Filter

    def __call__(self, facts: Facts) -> bool:
        return not self.part(facts)

    def columns(self) -> set[str]:
        return self.part.columns()


def parse(text: str, names: tuple[str, ...] = FILTER_NAMES) -> Filter:
    """Parses `text` into a filter of mappings from `names` to values.

    Raises BadInput with the position of an error.

    >>> chosen = parse("samples >= 4 and estimator != 'arm'")
    >>> chosen({"samples": 10, "estimator": "rloo"}), chosen({"samples": 1, "estimator": "rloo"})
    (True, False)
    >>> parse("sample >= 4")
    Traceback (most recent call last):
    estimators.errors.BadInput: --where, character 1: there is no column 'sample'; did you mean 'samples'?
    """
    if len(text) > MAX_LENGTH:
        raise BadInput(f"--where: longer than {MAX_LENGTH} characters")
    return _Parser(_tokens(text), names).whole()


def select(frame: pd.DataFrame, text: str | None) -> pd.DataFrame:
    """The rows of a table for which the filter `text` is true; all rows without a filter."""
    if not text:
        return frame
    chosen = parse(text)
    names = [name for name in sorted(chosen.columns()) if name in frame]
    if not names:  # the rule is the same for all rows
        return frame if chosen({}) else frame.iloc[:0]
    distinct = frame[names].drop_duplicates()
    kept = [
        chosen(filter_facts(dict(zip(names, row, strict=True)))) for row in distinct.itertuples(index=False, name=None)
    ]
    return frame.merge(pd.DataFrame(distinct[kept]), on=names, how="inner")


_SETTINGS = ("estimator", "distribution", "objective")


def filter_facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """The values that a filter can use: a row's columns, and its settings by dotted names."""
    found = {name: row[name] for name in FILTER_NAMES if name in row}
    for kind in _SETTINGS:
        found |= _dotted(kind, row.get(f"{kind}_params") or "{}")
    return found


@lru_cache(maxsize=4096)
def _dotted(kind: str, settings: str) -> dict[str, Any]:
    """Settings by dotted names; cached, because many cells share a text."""
    return {f"{kind}.{key}": value for key, value in json.loads(settings).items()}


def _tokens(text: str) -> list[Token]:
    tokens, position = [], 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            at = position + len(text[position:]) - len(text[position:].lstrip())
            raise _error(at, f"{text[at : at + 10]!r} is not part of the language; write e.g. samples >= 4")
        kind = str(match.lastgroup)
        tokens.append(Token(kind, match[kind], match.start(kind)))
        position = match.end()
    return [*tokens, Token("end", "the end", len(text))]


def _error(position: int, what: str) -> BadInput:
    return BadInput(f"--where, character {position + 1}: {what}")


class _Parser:
    """Recursive-descent parser: whole = either; either = both {or both}; both = one {and one}; one = not one | ( … ) |
    comparison."""

    def __init__(self, tokens: list[Token], names: tuple[str, ...]) -> None:
        self.tokens, self.names, self.next, self.depth = tokens, names, 0, 0

    def whole(self) -> Filter:
        found = self.either()
        self.expect("the end", "`and`, `or` or the end")
        return found

    def either(self) -> Filter:
        parts = [self.both()]
        while self.take("or"):
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def both(self) -> Filter:
        parts = [self.one()]
        while self.take("and"):
            parts.append(self.one())
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def one(self) -> Filter:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _error(self.token.position, f"nested deeper than {MAX_DEPTH}")
        found = self.negated() or self.grouped() or self.comparison()
        self.depth -= 1
        return found

    def negated(self) -> Filter | None:
        return Negated(self.one()) if self.take("not") else None

    def grouped(self) -> Filter | None:
        if not self.take("("):
            return None
        inner = self.either()
        self.expect(")", "`)`")
        return inner

    def comparison(self) -> Filter:
        name = self.column()
        if self.take("in"):
            return Either(tuple(ColumnTest(name, "==", value) for value in self.several()))
        token = self.advance()
        if token.text not in OPERATORS or token.kind != "sign":
            raise _error(token.position, f"expected one of {' '.join(OPERATORS)} in, found {token.text}")
        return ColumnTest(name, token.text, self.value())

    def column(self) -> str:
        token = self.advance()
        if token.kind != "word":
            raise _error(token.position, f"expected a column, found {token.text}")
        head, _, setting = token.text.partition(".")
        if head not in self.names or (setting and head not in _SETTINGS):
            raise _error(token.position, f"there is no column {token.text!r}; {nearest(head, self.names)}")
        return token.text

    def several(self) -> list[Any]:
        opening = self.advance()
        if opening.text not in ("[", "("):
            raise _error(opening.position, f'expected a list such as ["a", "b"], found {opening.text}')
        values = [self.value()]
        while self.take(","):
            values.append(self.value())
        self.expect("]" if opening.text == "[" else ")", "`,` or the end of the list")
        return values

    def value(self) -> Any:
        token = self.advance()
        if token.kind == "text":
            return token.text[1:-1]
        if token.kind == "number":
            return float(token.text)
        if token.text in ("true", "false"):
            return token.text == "true"
        raise _error(token.position, f"expected a number or a quoted text, found {token.text}")

    @property
    def token(self) -> Token:
        return self.tokens[self.next]

    def advance(self) -> Token:
        token = self.token
        self.next = min(self.next + 1, len(self.tokens) - 1)
        return token

    def take(self, text: str) -> bool:
        found = self.token.text == text and self.token.kind in ("word", "sign")
        self.next += found
        return found

    def expect(self, text: str, words: str) -> None:
        token = self.advance()
        if token.text != text or token.kind == "text":
            raise _error(token.position, f"expected {words}, found {token.text}")


def _compare(compare: Callable[[Any, Any], bool], found: Any, value: Any) -> bool:
    """Compares two values; False, not an error, if the row lacks the setting, it holds a plug-in, or types differ."""
    if found is None or found is pd.NA or isinstance(found, dict | list):
        return False
    if isinstance(found, str) != isinstance(value, str):
        return False
    return bool(compare(found, value))
