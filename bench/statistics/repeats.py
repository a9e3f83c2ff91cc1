"""Finds estimates that come back: a seed that repeats, or that the generator ignores, gives the same rows again.

Runs of consecutive rows are compared, by a 64-bit hash of each row. If no row has a probability above p, a run of w
rows equals the run at another place with a chance of at most pʷ (also where the two overlap: each row must equal a
given one), so among R² pairs of places a run of w = log(R²/ε) ÷ log(1/p) rows comes back with a chance below ε.
"""

from math import ceil, log

import numpy as np
from jaxtyping import Float

CHANCE = 1e-12
"""The chance that independent rows are said to repeat."""
FACTOR = np.uint64(0x9E3779B97F4A7C15)
BASE = 0xD1342543DE82EF95
"""Odd numbers, which have an inverse modulo 2⁶⁴."""


def row_prints(rows: Float[np.ndarray, "R P"]) -> np.ndarray:
    """A 64-bit hash of each row, uint64 `[R]`; equal rows have equal hashes, whatever the sign of their zeros.

    >>> prints = row_prints(np.array([[0.0, 1.0], [-0.0, 1.0], [1.0, 0.0]]))
    >>> bool(prints[0] == prints[1]), bool(prints[0] == prints[2])
    (True, False)
    """
    bits = np.ascontiguousarray(rows + 0.0, dtype=np.float64).view(np.uint64)
    place = np.arange(1, rows.shape[1] + 1, dtype=np.uint64) * FACTOR
    return mixed(mixed(bits ^ place).sum(1, dtype=np.uint64))


def mixed(bits: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014, figure 17): each bit depends on all bits."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def repeated_rows(prints: np.ndarray) -> str | None:
    """Returns a sentence if a run of rows comes back that would not by chance, else None.

    Args:
        prints: The hashes of R rows in the order of drawing, uint64 `[R]`.

    >>> repeated_rows(row_prints(np.random.default_rng(0).normal(size=(500, 1)))) is None
    True
    """
    count = len(prints)
    likeliest = float(np.unique(prints, return_counts=True)[1].max(initial=1)) / max(count, 1)
    if count < 2 or likeliest >= 1:
        return None
    run = ceil(log(count**2 / CHANCE) / -log(likeliest))
    if run >= count:
        return None
    runs = run_prints(prints, run)
    _, first, inverse = np.unique(runs, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[inverse] < np.arange(len(runs)))
    if not len(again):
        return None
    place, before = int(again[0]), int(first[inverse][again[0]])
    return (
        f"estimates repeat: rows {place} to {place + run - 1} are rows {before} to {before + run - 1} again, which "
        "does not happen by chance; a seed comes back or is ignored, so the estimates are not independent"
    )


def run_prints(prints: np.ndarray, run: int) -> np.ndarray:
    """A hash of each `run` consecutive rows: a polynomial in their hashes modulo 2⁶⁴, from its running sums."""
    powers = powers_of(BASE, len(prints))
    with np.errstate(over="ignore"):
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(prints * powers, dtype=np.uint64)])
        return (sums[run:] - sums[:-run]) * powers_of(pow(BASE, -1, 2**64), len(prints))[: len(prints) - run + 1]


def powers_of(base: int, count: int) -> np.ndarray:
    """The powers 0, 1, …, count − 1 of `base` modulo 2⁶⁴."""
    powers = np.full(count, base, dtype=np.uint64)
    powers[0] = 1
    return np.multiply.accumulate(powers, dtype=np.uint64)
