"""Claims about a measured quantity, judged at every point of a grid; the words follow from the numbers."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from bench.validation.facts.measured_points import GridPoint

Word = Literal["holds", "does not hold", "holds in part", "is not settled"]
MOST_QUOTED = 3
"""Most measurements that a sentence quotes."""


@dataclass(frozen=True)
class GridClaim:
    """A claim that a quantity lies in `bounds` (both ends included) at every point of a series.

    `says`: the claim as the beginning of a sentence. `over`: the name of x. `unit`: is written after numbers.
    """

    says: str
    quantity: str
    series: str
    bounds: tuple[float, float]
    over: str
    unit: str = ""

    def points(self, points: Iterable[GridPoint]) -> list[GridPoint]:
        """Returns the points that the claim is about, by x."""
        own = [each for each in points if (each.quantity, each.series) == (self.quantity, self.series)]
        return sorted(own, key=lambda each: each.x)


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim's verdict: a word, the claim with its verdict, and the numbers behind it as the rest of the sentence."""

    word: Word
    head: str
    numbers: str = ""

    @property
    def sentence(self) -> str:
        """The claim, its verdict and its numbers."""
        return f"{self.head}; {self.numbers}." if self.numbers else f"{self.head}."


def judged(claim: GridClaim, points: Iterable[GridPoint]) -> ClaimVerdict:
    """Returns the verdict on a claim.

    A point agrees if its whole interval is in the bounds, contradicts if all of it is outside, and is open otherwise.
    """
    own = claim.points(points)
    if not own:
        return ClaimVerdict("is not settled", f"{claim.says}: not measured")
    places = [(each.x, place(each, claim.bounds)) for each in own]
    states = {state for _, state in places}
    word = word_of(states)
    return ClaimVerdict(
        word, f"{claim.says}: {verdict_in_words(places, claim.over)}", numbers_in_words(own, claim.unit, claim.over)
    )


def place(point: GridPoint, bounds: tuple[float, float]) -> int:
    """Returns 1 if the point's interval is within the bounds, −1 if it is outside, 0 if it crosses an end.

    >>> place(GridPoint("angle", "k3", 0.1, 2.0, 2.1, 1.9, 2.3), (0, 5))
    1
    """
    low, high = point.ends
    if bounds[0] <= low and high <= bounds[1]:
        return 1
    return -1 if high < bounds[0] or low > bounds[1] else 0


def word_of(states: set[int]) -> Word:
    """Returns the word for the states of all points.

    >>> word_of({1}), word_of({-1}), word_of({1, -1}), word_of({0, 1})
    ('holds', 'does not hold', 'holds in part', 'is not settled')
    """
    if states == {1}:
        return "holds"
    if -1 not in states:
        return "is not settled"
    return "holds in part" if 1 in states else "does not hold"


def verdict_in_words(places: Sequence[tuple[float, int]], over: str) -> str:
    """Returns the verdict with the places at which it applies.

    >>> verdict_in_words([(2, -1), (3, -1), (4, 1), (8, 1)], "K")
    'does not hold for K = 2 to 3, holds for K = 4 to 8'
    """
    said = {1: "holds", -1: "does not hold", 0: "is not settled"}
    parts = []
    for state, group in groupby(places, key=lambda each: each[1]):
        parts.append(f"{said[state]} for {over} = {span_of([x for x, _ in group])}")
    return ", ".join(parts)


def span_of(values: Sequence[float]) -> str:
    """Returns the first and the last of rising numbers.

    >>> span_of([0.01, 0.1, 1.0]), span_of([2.0])
    ('0.01 to 1', '2')
    """
    first, last = three_digits(values[0]), three_digits(values[-1])
    return first if first == last else f"{first} to {last}"


def three_digits(value: float) -> str:
    """Returns a number with 3 significant digits.

    >>> three_digits(0.01864), three_digits(38.04), three_digits(-1.5), three_digits(4096), three_digits(1323.4)
    ('0.0186', '38', '-1.5', '4096', '1323')
    """
    if value == 0 or math.isinf(value):
        return "0" if value == 0 else f"{value}"
    if abs(value) < 1e-4:
        return f"{value:.0e}"
    whole = value == round(value) or abs(value) >= 1000
    return f"{value:.0f}" if whole and abs(value) < 1e6 else f"{value:.3g}"


def quoted(point: GridPoint, unit: str) -> str:
    """Returns a number with its interval, if it was measured by draws.

    >>> quoted(GridPoint("angle", "k3", 0.1, 2.0, 2.1, 1.9, 2.3), "°"), quoted(GridPoint("angle", "k3", 0.1, 2.0), "°")
    ('2.1° (1.9° to 2.3°)', '2°')
    """
    if not point.drawn:
        return f"{three_digits(point.exact)}{unit}"
    return f"{three_digits(point.measured)}{unit} ({three_digits(point.low)}{unit} to {three_digits(point.high)}{unit})"


def numbers_in_words(points: Sequence[GridPoint], unit: str, over: str) -> str:
    """Returns the range of the exact numbers, and the measurements of the largest ones."""
    values = [each.exact for each in points]
    ends = sorted({three_digits(min(values)), three_digits(max(values))}, key=float)
    exact = f"exact: {f'{unit} to '.join(ends)}{unit}"
    drawn = sorted((each for each in points if each.drawn), key=lambda each: -abs(each.measured))[:MOST_QUOTED]
    if not drawn:
        return exact
    said = ", ".join(
        f"{quoted(each, unit)} at {over} = {three_digits(each.x)}" for each in sorted(drawn, key=lambda each: each.x)
    )
    return f"{exact}; measured: {said}"
