"""Reads from a row's `method` what the interval of a time covers."""

import re
from math import nan

WITHIN_RUN = "within this run"
WITHIN_VISIT = "within this visit only"
ONCE_SAID = "covers a repetition of the run"
"""What tables from before December 2026 say in place of `WITHIN_RUN`."""
SAID = re.compile(rf"(?:{WITHIN_RUN}|{ONCE_SAID}): ((\d+) visits over [^;]*)|{WITHIN_VISIT}")


def covered(method: object) -> str:
    """The part of a row's method that says what the interval of its time covers; empty if there is none.

    >>> covered("median of 9 blocks; within this run: 5 visits over 40 s; drift +1.2%")
    'within this run: 5 visits over 40 s'
    >>> covered("covers a repetition of the run: 5 visits over 40 s")
    'within this run: 5 visits over 40 s'
    """
    found = SAID.search(method) if isinstance(method, str) else None
    if found is None:
        return ""
    return f"{WITHIN_RUN}: {found[1]}" if found[1] else WITHIN_VISIT


def visits_of(method: object) -> float:
    """The number of visits behind the interval of a time, from its row's method; NaN for a single visit.

    >>> visits_of("within this run: 5 visits over 40 s"), visits_of("within this visit only")
    (5.0, nan)
    """
    found = SAID.search(method) if isinstance(method, str) else None
    return float(found[2]) if found and found[2] else nan
