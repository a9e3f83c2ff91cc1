"""What the interval of a time covers, as the `method` of its row says it."""

import re
from math import nan

REPETITION = "covers a repetition of the run"
WITHIN = "within this visit only"
SAID = re.compile(rf"{REPETITION}: (\d+) visits over [^;]*|{WITHIN}")


def covered(method: object) -> str:
    """The words of a row's method that say what its interval of a time covers; empty where it does not say.

    >>> covered("median of 9 blocks; covers a repetition of the run: 5 visits over 40 s; drift +1.2%")
    'covers a repetition of the run: 5 visits over 40 s'
    """
    found = SAID.search(method) if isinstance(method, str) else None
    return found[0] if found else ""


def visits_of(method: object) -> float:
    """How many visits the interval of a time rests on, by its row's method; NaN where it covers no repetition.

    >>> visits_of("covers a repetition of the run: 5 visits over 40 s"), visits_of("within this visit only")
    (5.0, nan)
    """
    found = SAID.search(method) if isinstance(method, str) else None
    return float(found[1]) if found and found[1] else nan
