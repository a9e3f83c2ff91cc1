"""Least squares of log values on a row and a column: any two rows compared, also where each stands in few columns."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer
from numpy import ndarray

from bench.statistics.interval import Interval
from bench.statistics.over_problems import OverProblems, finite_half, student_factor

TOUCHED = 1e-9
"""Weight below which a cell has no part in a difference: rounding."""
SINGULAR = 1e-10
"""Eigenvalues of a Laplacian below this share of the largest are rounding; that of a connected table is above it."""


@dataclass(frozen=True)
class Additive:
    """The fit of log y = row + column, by least squares, with every problem weighted alike.

    Rows are estimators; columns are settings of problems (a problem at one number of samples), and a problem weighs as
    much with one column as with ten. Where every row stands in every column, the difference of two rows is the mean of
    their differences, as in `bench.statistics.over_problems.mean_ratio`. Where not, it also rests on what third rows
    say of the columns that only one of the two has.

    `effects`: of each row, up to a constant. `weights`: effects = weights @ log y. `without`: the effects without each
    problem. `shared`: the number of problems on which two rows share a column. `down`, `up`: the distances to the ends
    of each cell's interval.
    """

    effects: Float[ndarray, " rows"]
    weights: Float[ndarray, "rows cells"]
    without: Float[ndarray, "problems rows"]
    problem: Integer[ndarray, " cells"]
    shared: Integer[ndarray, "rows rows"]
    down: Float[ndarray, " cells"]
    up: Float[ndarray, " cells"]

    def ratio(self, one: int, other: int) -> OverProblems:
        """Returns exp(row `one` − row `other`), with two intervals.

        *measured*: the errors of the cells are independent, so the squared distances to their ends add, times squared
        weights. *chosen*: the jackknife over problems (Tukey 1958; Efron, Stein 1981): with d_g the difference without
        problem g, and k the problems that have a part in it, ± t √((k − 1) ÷ k Σ_g (d_g − d)²), where t has one degree
        less than the problems that both share. In a complete table it is Student's interval of the mean.
        """
        if one == other:
            return OverProblems.exact(1.0, int(self.shared[one, one]))
        weight = self.weights[one] - self.weights[other]
        down, up = (
            float(np.sqrt((weight**2) @ np.where(weight > 0, near, far) ** 2))
            for near, far in ((self.down, self.up), (self.up, self.down))
        )
        part = np.bincount(self.problem, np.abs(weight), len(self.without)) > TOUCHED
        k, shared = int(part.sum()), int(self.shared[one, other])
        centre = float(self.effects[one] - self.effects[other])
        half = np.nan
        if shared > 1:
            left = (self.without[:, one] - self.without[:, other])[part] - centre
            half = student_factor(shared) * float(np.sqrt((k - 1) / k * (left**2).sum()))
        return OverProblems.on_log_scale(centre, down, up, half, shared)


def additive(
    rows: Integer[ndarray, " cells"],
    columns: Integer[ndarray, " cells"],
    problems: Integer[ndarray, " cells"],
    values: Interval,
) -> Additive:
    """Returns the fit to positive, finite `values`; a cell's row, column and problem are numbered from 0.

    With c a column, m_c its rows (0 or 1 each) and u_c its weight, 1 ÷ the columns of its problem that have two rows:
    the columns' effects drop out of the normal equations, which are L row = Σ_c u_c (y_c − m_c ȳ_c) with the Laplacian
    L = Σ_c u_c (diag m_c − m_c m_cᵀ ÷ |m_c|). L's pseudoinverse gives the effects with mean 0.
    """
    R, C, G = (int(each.max()) + 1 for each in (rows, columns, problems))
    present = np.zeros((C, R))
    present[columns, rows] = 1
    of_column = np.zeros(C, int)
    of_column[columns] = problems
    count = present.sum(1)
    usable = count > 1
    per_problem = np.bincount(of_column[usable], minlength=G)
    share = usable / np.maximum(per_problem[of_column], 1)
    rights = -present[columns].T / count[columns]
    rights[rows, np.arange(len(rows))] += 1
    rights *= share[columns]
    with np.errstate(divide="ignore"):
        log, low, high = (np.log(each) for each in values)
    laplacians, right_sides, shared = np.zeros((G, R, R)), np.zeros((G, R)), np.zeros((R, R), int)
    for g in range(G):
        own, here = problems == g, usable & (of_column == g)
        m, u = present[here], share[here]
        laplacians[g] = np.diag(u @ m) - (m.T * (u / count[here])) @ m
        right_sides[g] = rights[:, own] @ log[own]
        shared += m.T @ m > 0
    L, right = laplacians.sum(0), right_sides.sum(0)
    without = [pseudoinverse(L - own) @ (right - its) for own, its in zip(laplacians, right_sides, strict=True)]
    weights = pseudoinverse(L) @ rights
    halves = finite_half(log - low), finite_half(high - log)
    return Additive(weights @ log, weights, np.stack(without), problems, shared, *halves)


def pseudoinverse(laplacian: Float[ndarray, "R R"]) -> Float[ndarray, "R R"]:
    """Returns the pseudoinverse, without what is 0 but for rounding."""
    return np.linalg.pinv(laplacian, rcond=SINGULAR, hermitian=True)
