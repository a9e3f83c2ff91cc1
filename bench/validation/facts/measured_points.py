"""Points of the arguments: numbers by enumeration, some with a measurement and its interval, as rows of one table."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

from bench.validation.facts.fact import Rows

POINTS_TABLE = "arguments"
"""Name of the table of all arguments' points: `arguments.csv`."""


@dataclass(frozen=True)
class GridPoint:
    """A number at one place of a grid.

    `quantity`: what it is. `series`: of which loss or setting. `x`, `y`: the place. `exact`: by enumeration.
    `measured`, `low`, `high`: by draws, with 4 standard errors to each side; NaN where it was not measured.
    """

    quantity: str
    series: str
    x: float
    exact: float
    measured: float = math.nan
    low: float = math.nan
    high: float = math.nan
    y: float = math.nan

    @property
    def drawn(self) -> bool:
        """Whether it was measured by draws."""
        return not math.isnan(self.low)

    @property
    def ends(self) -> tuple[float, float]:
        """The interval of the measurement, or the exact number twice."""
        return (self.low, self.high) if self.drawn else (self.exact, self.exact)

    def with_draws(self, measured: float, error: float) -> "GridPoint":
        """Returns the point with a measurement; `error` is half of its interval."""
        return GridPoint(
            self.quantity, self.series, self.x, self.exact, measured, measured - error, measured + error, self.y
        )


def points_table(points: Iterable[GridPoint]) -> Rows:
    """Returns the points of a fact as rows of the table of all arguments."""
    rows = [asdict(each) for each in points]
    return Rows(POINTS_TABLE, {each.name: [row[each.name] for row in rows] for each in fields(GridPoint)})


def points_in(tables: Iterable[Rows]) -> list[GridPoint]:
    """Returns the points in a fact's tables; a null is NaN."""
    found = []
    for table in tables:
        if table.name == POINTS_TABLE:
            names = [each.name for each in fields(GridPoint)]
            for values in zip(*(table.columns[name] for name in names), strict=True):
                given: dict[str, Any] = {n: math.nan if v is None else v for n, v in zip(names, values, strict=True)}
                found.append(GridPoint(**given))
    return found
