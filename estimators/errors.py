"""Errors for invalid user input, in one sentence."""

import operator
from collections.abc import Iterable
from difflib import get_close_matches
from typing import TypeVar

from estimators.text import visible

MAX_NAMES = 12
"""Largest number of names listed in one message."""
LONGEST_NAME = 1000
"""Characters of a name for which a similar one is looked for."""


MAX_MESSAGE = 4000
"""Characters of a message that are shown."""


class BadInput(ValueError):
    """Invalid user input. The message is one clear sentence: what was wrong, where, and what would be right.

    Characters of the input that do not print are shown as escapes, and the middle of a very long message is left out.
    The command line exits with code 2.
    """

    def __str__(self) -> str:
        text = visible(super().__str__(), keep="\n")
        return text if len(text) <= MAX_MESSAGE else f"{text[: MAX_MESSAGE // 2]} … {text[-MAX_MESSAGE // 2 :]}"


Number = TypeVar("Number", int, float)


def at_least(least: Number, name: str, value: Number) -> Number:
    """Returns `value`; raises BadInput if it is below `least`, or NaN.

    >>> at_least(1, "jobs", 0)
    Traceback (most recent call last):
    estimators.errors.BadInput: jobs must be at least 1, found 0
    """
    if not value >= least:
        raise BadInput(f"{name} must be at least {least:g}, found {value:g}")
    return value


def whole_number(least: int, name: str, value: object) -> int:
    """Returns `value` as an int; raises BadInput if it is not a whole number (1.0 is not one), or below `least`.

    >>> whole_number(1, "window", 1.5)
    Traceback (most recent call last):
    estimators.errors.BadInput: window must be a whole number, at least 1; found 1.5
    """
    found = None if isinstance(value, bool) or not hasattr(value, "__index__") else operator.index(value)  # type: ignore[arg-type]
    if found is None:
        raise BadInput(f"{name} must be a whole number, at least {least}; found {value!r}")
    return at_least(least, name, found)


def nearest(name: str, names: Iterable[str]) -> str:
    """Returns a clause with the closest valid name, or with all names if none is close.

    >>> nearest("rlo", ["rloo", "reinforce"])
    "did you mean 'rloo'?"
    """
    names = sorted(names)
    asked = str(name)  # a name from a file may be a number
    close = get_close_matches(asked, names, n=1, cutoff=0.5) if len(asked) <= LONGEST_NAME else []
    if close:
        return f"did you mean {close[0]!r}?"
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return f"there is {', '.join(names[:MAX_NAMES]) or 'none'}{more}"
