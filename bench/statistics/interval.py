"""A value with its interval, and arithmetic on such values; for single numbers and for arrays of one shape.

Products and ratios of independent values are computed on the log scale by the method of variance estimates recovery
(Zou and Donner 2008): the squared distances from value to end add, separately for each side, so that intervals keep
their asymmetry. For a ratio: log low = log a − log b − √((log a − log a_low)² + (log b_high − log b)²).
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri


class Interval(NamedTuple):
    """A value and the ends of its interval: three numbers, or three arrays of one shape; NaN where a number is missing.

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
        """An interval of width zero: both ends are the value."""
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
        """Replaces missing ends (NaN) by the value where `where` is true: a count has no interval and is exact."""
        return Interval(self.value, *(np.where(np.isnan(end) & where, self.value, end)[()] for end in self[1:]))

    def widened(self, by: Any) -> "Interval":
        """Moves both ends outward by `by`."""
        return Interval(self.value, self.low - by, self.high + by)

    def shifted(self, by: Any) -> "Interval":
        """Adds an exact number."""
        return Interval(self.value + by, self.low + by, self.high + by)

    def scaled(self, factor: Any) -> "Interval":
        """Multiplies by an exact positive number."""
        return Interval(self.value * factor, self.low * factor, self.high * factor)

    def per(self, amount: Any) -> "Interval":
        """Divides by an exact positive number."""
        return Interval(self.value / amount, self.low / amount, self.high / amount)

    def reciprocal(self, numerator: Any = 1.0) -> "Interval":
        """`numerator` divided by this interval, with the ends exchanged; NaN where this interval is not positive."""
        value, low, high = (numerator / np.where(np.greater(each, 0), each, np.nan)[()] for each in self)
        return Interval(value, high, low)

    def times(self, other: "Interval") -> "Interval":
        """The product with an independent interval. An exact 0 times anything is 0."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            value = self.value * other.value
            down = np.hypot(self._distance(self.low), other._distance(other.low))
            up = np.hypot(self._distance(self.high), other._distance(other.high))
            return Interval(value, value * np.exp(-down), value * np.exp(up))

    def over(self, other: "Interval") -> "Interval":
        """The ratio to an independent interval. A value of 0, the variance of an exact estimator, has the ratio 0 to a
        positive value and 1 to another 0."""
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
