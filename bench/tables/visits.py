"""Reads from a row's `method` what the interval of a time covers."""

import re
from math import nan

REPETITION = "covers a repetition of the run"
WITHIN = "within this visit only"
SAID = re.compile(rf"{REPETITION}: (\d+) visits over [^;]*|{WITHIN}")


def covered(method: object) -> str:
    """The part of a row's method that says what the interval of its time covers; empty if there is none.

    >>> covered("median of 9 blocks; covers a repetition of the run: 5 visits over 40 s; drift +1.2%")
    'covers a repetition of the run: 5 visits over 40 s'
    """
    found = SAID.search(method) if isinstance(method, str) else None
    return found[0] if found else ""


def visits_of(method: object) -> float:
    """The number of visits behind the interval of a time, from its row's method; NaN if it covers no repetition.

    >>> visits_of("covers a repetition of the run: 5 visits over 40 s"), visits_of("within this visit only")
    (5.0, nan)
    """
    found = SAID.search(method) if isinstance(method, str) else None
    return float(found[1]) if found and found[1] else nan
