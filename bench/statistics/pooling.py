"""The mean of independent values with different errors, weighted by their precision, and the error of this mean.

With weights w_i = 1/error_i² and W = Σ w_i the mean Σ w_i x_i / W has the variance 1/W where the errors are known.
Errors that are estimated with f_i degrees of freedom favour values whose error came out too small; to the first order
the variance is then (Meier 1953, Biometrics 9, 59)

    1/W · [1 + 4 Σ_i (1/f_i) (w_i/W) (1 − w_i/W)],     with 1/f = Σ_i (w_i/W)²/f_i degrees of freedom.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray


class Pooled(NamedTuple):
    """A weighted mean, its standard error and the degrees of freedom of this error."""

    mean: float
    error: float
    degrees: float


def pooled_mean(
    values: Float[ndarray, " k"], errors: Float[ndarray, " k"], degrees: Float[ndarray, " k"], shared: float = 0.0
) -> Pooled:
    """The mean of k values, weighted by precision.

    Args:
        values: The values.
        errors: Their standard errors, all positive; each holds the part that all values share.
        degrees: Degrees of freedom of the errors; inf: known.
        shared: The standard error that all values share, which no mean removes.

    >>> pooled_mean(np.array([1.0, 3.0]), np.ones(2), np.full(2, np.inf))
    Pooled(mean=2.0, error=0.7071067811865476, degrees=inf)
    """
    own = np.maximum(errors**2 - shared**2, 1e-12 * errors**2)
    weight = 1 / own / (1 / own).sum()
    wider = 1 + 4 * float((weight * (1 - weight) / degrees).sum())
    inverse = float((weight**2 / degrees).sum())
    error = float(np.sqrt(wider / (1 / own).sum() + shared**2))
    return Pooled(float(weight @ values), error, 1 / inverse if inverse > 0 else np.inf)
