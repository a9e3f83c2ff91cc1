"""The change of each cell between two runs: its ratio, the error of the ratio, and what both rest on.

Where both runs have the same seed, a cell's draws are the same if the code draws as before. Then one of three holds:

- the numbers are the same to the bit: the ratio is exactly 1, and nothing changed;
- the batches of both runs are alike (`bench.statistics.common_draws`): the noise that they share cancels, and the ratio
  has the error of the differences between batches;
- else the runs count as independent.

Times never have the same draws; how much a repetition of a run differs is read from all cells
(`bench.analysis.repeated_times`).
"""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.stats import t

from bench.analysis.repeated_times import over_repetitions
from bench.statistics.common_draws import common_error
from bench.statistics.interval import Interval
from bench.statistics.ratios import p_above, p_below
from bench.tables.metrics import METRICS

TIMES = ("seconds_per_estimate", "estimates_per_second", "device_seconds_per_estimate", "random_seconds_per_estimate",
         "work_normalised_variance")  # fmt: skip
"""The metrics whose intervals come from timing."""
OF_BATCHES = ("variance", "variance_per_evaluation", "variance_per_token")
"""The metrics that are a variance times an exact count, and so have its error."""
COMMON = ("common", "common_low", "common_high")
"""The change that the times of all cells share, by which a ratio of times is divided; 1 for other metrics."""
SAME_NUMBERS, ALIKE_DRAWS, INDEPENDENT, REPETITIONS = "same numbers", "same draws", "independent", "repetitions"
"""What a ratio rests on."""


class Limit(NamedTuple):
    """A limit: `metric` may get worse by at most the factor 1 + `share`."""

    metric: str
    share: float

    @property
    def lower_is_better(self) -> bool:
        """Whether a larger value is worse."""
        return METRICS[self.metric].direction == "lower"


def changes(shared: pd.DataFrame, limit: Limit) -> pd.DataFrame:
    """Returns a row per cell of both runs: the ratio second ÷ first with its interval, and the test against the limit.

    `basis`: what the ratio rests on. `log` and `error`: the change for the worse and its standard error on the log
    scale, from the side of the interval that faces the limit, with `degrees` degrees of freedom. `p`: of the test whose
    alternative is a change beyond the limit, not adjusted; NaN where a cell is not judged.
    """
    ratio = _side(shared, limit.metric, "_after").over(_side(shared, limit.metric, "_before"))
    degrees, common = np.full(len(shared), np.inf), Interval.exact(1.0)
    basis = np.full(len(shared), REPETITIONS if limit.metric in TIMES else INDEPENDENT, dtype=object)
    if limit.metric in TIMES:
        ratio, degrees, common = _of_repetitions(shared, ratio)
    else:
        ratio, degrees, basis = _of_common_draws(shared, limit.metric, ratio, degrees, basis)
    bound = 1 + limit.share if limit.lower_is_better else 1 / (1 + limit.share)
    p = (p_above if limit.lower_is_better else p_below)(ratio, bound, degrees)
    log, error = _for_the_worse(ratio, degrees, limit.lower_is_better)
    names = ["problem", "estimator", "samples"]
    frame = shared[["problem_before", "estimator_before", "samples"]].set_axis(names, axis=1)
    frame = frame.assign(
        metric=limit.metric, limit=limit.share, basis=basis, ratio=ratio.value, ratio_low=ratio.low,
        ratio_high=ratio.high, log=log, error=error, degrees=degrees, p=p,
    )  # fmt: skip
    return frame.assign(**dict(zip(COMMON, common, strict=True))).dropna(subset="ratio")


def _for_the_worse(
    ratio: Interval, degrees: Float[ndarray, " cells"], lower_is_better: bool
) -> tuple[Float[ndarray, " cells"], Float[ndarray, " cells"]]:
    """The logarithm of the change for the worse, and its error from the end that faces the limit."""
    sign, facing = (1.0, ratio.low) if lower_is_better else (-1.0, ratio.high)
    with np.errstate(divide="ignore", invalid="ignore"):
        log = sign * np.log(ratio.value)
        error = (log - sign * np.log(facing)) / t.ppf(0.975, degrees)
    return log, np.where(ratio.value == facing, 0.0, error)


def _side(shared: pd.DataFrame, metric: str, side: str) -> Interval:
    """Returns a metric's values and intervals in one run; a number without an interval counts as exact."""
    interval = Interval.of_columns(shared, metric, side)
    return interval.or_exact(np.isnan(interval.low) & np.isnan(interval.high))


def _of_repetitions(shared: pd.DataFrame, ratio: Interval) -> tuple[Interval, Float[ndarray, " rows"], Interval]:
    """Returns ratios of times with intervals that cover a repetition, their degrees of freedom, and the common change.

    Degrees are NaN, hence without a p-value, if a cell was visited once, or if too few cells show how runs differ.
    """
    visits = np.minimum(*(shared[f"visits{side}"].to_numpy(float) for side in ("_before", "_after")))
    found = over_repetitions(ratio, visits - 1)
    if found is None:
        return ratio, np.full(len(shared), np.nan), Interval.exact(1.0)
    return found.ratio, found.degrees, found.common


def _of_common_draws(
    shared: pd.DataFrame, metric: str, ratio: Interval, degrees: Float[ndarray, " rows"], basis: ndarray
) -> tuple[Interval, Float[ndarray, " rows"], ndarray]:
    """Returns the ratios, their degrees of freedom and their basis, where cells have the same seed and replicates."""
    seeded = _same_seed(shared)
    equal = np.logical_and.reduce(
        [shared[f"{metric}{end}_before"].eq(shared[f"{metric}{end}_after"]).to_numpy(bool) for end in ("", "_low")]
    )
    same = seeded & equal
    low, high = (np.where(same, ratio.value, end) for end in ratio[1:])
    basis = np.where(same, SAME_NUMBERS, basis)
    if metric in OF_BATCHES and "batches_before" in shared:
        for row in np.flatnonzero(seeded & ~same & np.isfinite(ratio.low)):
            found = common_error(*(str(shared[f"batches{side}"].iloc[row]) for side in ("_before", "_after")))
            if found is not None:
                error, degrees[row] = found
                factor = float(np.exp(t.ppf(0.975, degrees[row]) * error))
                low[row], high[row], basis[row] = ratio.value[row] / factor, ratio.value[row] * factor, ALIKE_DRAWS
    return Interval(ratio.value, low, high), degrees, basis


def _same_seed(shared: pd.DataFrame) -> Bool[ndarray, " rows"]:
    """Whether both runs drew the same number of replicates from the same seed."""
    names = [name for name in ("seed", "replicates") if f"{name}_before" in shared]
    if len(names) < 2:
        return np.zeros(len(shared), bool)
    return np.logical_and.reduce(
        [shared[f"{name}_before"].eq(shared[f"{name}_after"]).fillna(False).to_numpy(bool) for name in names]
    )
