"""A value with its interval, and the algebra of such values; one number, or arrays of one shape, alike.

Products and ratios of independent values are taken on the log scale by the method of variance estimates recovery (Zou
and Donner 2008): the distances from value to end add as squares, each side for itself, so that intervals keep their
asymmetry. For a ratio: log low = log a − log b − √((log a − log a_low)² + (log b_high − log b)²).
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri


class Interval(NamedTuple):
    """A value and the ends of its interval: three numbers, or three arrays of one shape; NaN where there is none.

    >>> Interval(2.0, 1.0, 4.0).times(Interval.exact(3.0)).high.round(12)
    np.float64(12.0)
    >>> Interval(np.array([2.0, 0.0]), np.array([1.8, 0.0]), np.array([2.2, 0.0])).over(Interval.exact(1.0)).value
    array([2., 0.])
    """

    value: Any
    low: Any
    high: Any

    @classmethod
    def exact(cls, value: Any) -> "Interval":
        """A value that is known: both ends are the value."""
        return cls(value, value, value)

    @classmethod
    def on_log_scale(cls, value: float, error: float, level: float = 0.95) -> "Interval":
        """value · exp(± z · error); `error` is the standard error of the value's logarithm."""
        factor = float(np.exp(ndtri((1 + level) / 2) * error))
        return cls(value, value / factor, value * factor)

    @classmethod
    def of_columns(cls, table: Any, name: str, suffix: str = "") -> "Interval":
        """The columns `name`, `name_low` and `name_high` of a frame as float arrays; `suffix` ends all three names."""
        return cls(*(table[f"{name}{end}{suffix}"].astype(float).to_numpy() for end in ("", "_low", "_high")))

    def or_exact(self, where: Any = True) -> "Interval":
        """An end that is missing (NaN) becomes the value, where `where` holds: a count has no interval and is exact."""
        return Interval(self.value, *(np.where(np.isnan(end) & where, self.value, end)[()] for end in self[1:]))

    def widened(self, by: Any) -> "Interval":
        """Both ends moved outward."""
        return Interval(self.value, self.low - by, self.high + by)

    def shifted(self, by: Any) -> "Interval":
        """An exact number added."""
        return Interval(self.value + by, self.low + by, self.high + by)

    def scaled(self, factor: Any) -> "Interval":
        """Multiplied by an exact positive number."""
        return Interval(self.value * factor, self.low * factor, self.high * factor)

    def per(self, amount: Any) -> "Interval":
        """Divided by an exact positive number."""
        return Interval(self.value / amount, self.low / amount, self.high / amount)

    def reciprocal(self, numerator: Any = 1.0) -> "Interval":
        """numerator ÷ this, the ends exchanged; NaN where this is not positive."""
        value, low, high = (numerator / np.where(np.greater(each, 0), each, np.nan)[()] for each in self)
        return Interval(value, high, low)

    def times(self, other: "Interval") -> "Interval":
        """The product. An exact 0 times anything is 0."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            value = self.value * other.value
            down = np.hypot(self._distance(self.low), other._distance(other.low))
            up = np.hypot(self._distance(self.high), other._distance(other.high))
            return Interval(value, value * np.exp(-down), value * np.exp(up))

    def over(self, other: "Interval") -> "Interval":
        """The ratio. A value of 0 (an exact estimator's variance) has the ratio 0 to any other and 1 to another 0."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            centre = np.log(self.value) - np.log(other.value)
            down = np.hypot(self._distance(self.low), other._distance(other.high))
            up = np.hypot(self._distance(self.high), other._distance(other.low))
            ratio = (np.exp(centre), np.exp(centre - down), np.exp(centre + up))
        zero = np.equal(self.value, 0) | np.equal(other.value, 0)
        limit = np.where(np.equal(self.value, other.value), 1.0, np.where(np.equal(self.value, 0), 0.0, np.inf))
        limit = np.where(np.isnan(self.value) | np.isnan(other.value), np.nan, limit)
        return Interval(*(np.where(zero, limit, each)[()] for each in ratio))

    def _distance(self, end: Any) -> Any:
        """|log(end ÷ value)|; 0 where both are 0."""
        distance = np.abs(np.log(end) - np.log(self.value))
        return np.where(np.greater(self.value, 0) | np.greater(end, 0), distance, 0.0)
