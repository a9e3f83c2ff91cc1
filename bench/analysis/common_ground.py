"""Which estimators of a table can stand in one ranking: they share problems, and the ranking says what pairs say."""

import numpy as np
from jaxtyping import Bool, Integer
from numpy import ndarray

from bench.statistics.additive import Additive
from bench.statistics.interval import Interval
from bench.statistics.over_problems import mean_ratio

FEWEST_COMMON, COMMON_SHARE = 3, 3
"""Two ranked estimators share at least `FEWEST_COMMON` problems, or all where there are fewer, and at least one in
`COMMON_SHARE`."""
AGREES_TO = 1e-9
"""Relative rounding of a ratio."""


def fewest_shared(problems: int) -> int:
    """Returns how many of the problems of a kind two ranked estimators must share.

    >>> [fewest_shared(k) for k in (1, 2, 3, 5, 12, 40)]
    [1, 2, 3, 3, 4, 14]
    """
    return max(min(FEWEST_COMMON, problems), -(-problems // COMMON_SHARE))


def shared_problems(
    present: Bool[ndarray, "estimators columns"], problem: Integer[ndarray, " columns"]
) -> Integer[ndarray, "estimators estimators"]:
    """Returns the number of problems on which two estimators share a column (a problem at one number of samples)."""
    each = [present[:, problem == g].astype(int) for g in range(problem.max() + 1)]
    return np.sum([(own @ own.T) > 0 for own in each], axis=0)


def sharing(
    present: Bool[ndarray, "estimators columns"], problem: Integer[ndarray, " columns"]
) -> Bool[ndarray, " estimators"]:
    """Returns which estimators share enough problems with one another (`fewest_shared`).

    While two do not, the estimator is taken away that lacks most of the others; of several, the one on fewest problems.
    """
    shared = shared_problems(present & (present.sum(0) > 1), problem)
    alone = shared.diagonal() == 0
    needed = fewest_shared(len(np.unique(problem[present.sum(0) > 1])))
    lacking = shared < needed
    np.fill_diagonal(lacking, val=False)
    return _without_worst(lacking, shared.diagonal(), ~alone)


def agreeing(
    model: Additive, rows: Integer[ndarray, " cells"], columns: Integer[ndarray, " cells"], values: Interval
) -> Bool[ndarray, " estimators"]:
    """Returns the estimators whose ratios in the model lie in the intervals of their direct comparisons.

    While one does not, the estimator is taken away that disagrees with most of the others; of several, the one on
    fewest problems. In a complete table the model is the direct comparison, so that all stay.
    """
    count = len(model.effects)
    if len(rows) == count * (columns.max() + 1):
        return np.ones(count, bool)
    own = [np.flatnonzero(rows == row) for row in range(count)]
    disagrees = np.zeros((count, count), bool)
    for one in range(count):
        for other in range(one):
            _, here, there = np.intersect1d(columns[own[one]], columns[own[other]], return_indices=True)
            above, below = own[one][here], own[other][there]
            ratio = Interval(*(each[above] for each in values)).over(Interval(*(each[below] for each in values)))
            direct = mean_ratio(ratio, model.problem[above].astype(str).tolist())
            said = np.exp(model.effects[one] - model.effects[other])
            held = direct.low * (1 - AGREES_TO) <= said <= direct.high * (1 + AGREES_TO)
            disagrees[one, other] = disagrees[other, one] = not held
    return _without_worst(disagrees, model.shared.diagonal(), np.ones(count, bool), most=1)


def _without_worst(
    wrong: Bool[ndarray, "k k"],
    problems: Integer[ndarray, " k"],
    kept: Bool[ndarray, " k"],
    most: int | None = None,
) -> Bool[ndarray, " k"]:
    """Returns `kept` without the entries that are wrong with others, the worst first, at most `most` of them."""
    kept = kept.copy()
    while most is None or most > 0:
        counts = np.where(kept, (wrong & kept).sum(1), 0)
        if not counts.any():
            break
        worst = np.flatnonzero(counts == counts.max())
        kept[worst[np.argmin(problems[worst])]] = False
        most = None if most is None else most - 1
    return kept
