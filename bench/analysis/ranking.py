"""Rankings on common ground: per kind of problem, estimators compared on the problems that they share."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.common_ground import agreeing, sharing
from bench.analysis.comparison import comparable, equal, latest, most_measured, named_baseline, problem_identity
from bench.statistics.additive import Additive, additive
from bench.statistics.interval import Interval
from bench.statistics.over_problems import OverProblems, mean_ratio
from bench.tables.kinds import in_order
from bench.tables.metrics import METRICS
from bench.tables.wide import wide_table
from estimators.errors import BadInput, nearest

RANKED = ["kind", "equal", "estimator", "baseline"]
RANKED_NUMBERS = ["ratio", "ratio_low", "ratio_high", "problems_low", "problems_high"]
DISAGREES = "its place depends on the problems: the ranking and a direct comparison with another estimator disagree"
COUNTS = ["problems", "of_problems", "without_variance", "biased_on"]


@dataclass(frozen=True)
class KindRanking:
    """The estimators that can be compared on the problems of one kind, at one quantity held equal.

    `names`: the ranked estimators, best first. `model`: log variance = estimator + problem, a row per name. `apart`:
    why each other estimator is not ranked.
    """

    kind: str
    equal: str
    names: tuple[str, ...]
    model: Additive = field(repr=False)
    apart: dict[str, str] = field(repr=False)

    def ratio(self, one: str, other: str) -> OverProblems:
        """Returns the variance of `one` ÷ that of `other`. Raises BadInput if one of them is not ranked here."""
        for name in (one, other):
            if name not in self.names:
                raise BadInput(f"{name!r} is not ranked on {self.kind}; {nearest(name, self.names)}")
        return self.model.ratio(self.names.index(one), self.names.index(other))


@dataclass(frozen=True)
class Rankings:
    """The ranking of a table's estimators, one per kind of problem and quantity held equal.

    `rows`: one row per kind × quantity held equal × estimator, best first, then those apart. `ratio`: to `baseline`,
    which is the table's baseline or, where that is not ranked on a kind, the estimator measured on most of its
    problems; `ratio_low`, `ratio_high`: the noise of measuring; `problems_low`, `problems_high`: the choice of
    problems. `problems`: those on which it has a variance that another estimator shares, `of_problems`: those of the
    kind; `without_variance`: problems on which its variance is 0, which has no logarithm, so that the mean does not
    hold them; `biased_on`: problems on which it is shown biased. `apart`: why an estimator is not ranked, else empty;
    its ratio is then that on the problems that it shares with the baseline.
    `of`: the ranking by kind and quantity held equal, for any two estimators.
    """

    baseline: str
    rows: pd.DataFrame = field(repr=False)
    of: dict[tuple[str, str], KindRanking] = field(repr=False)

    @property
    def kinds(self) -> list[str]:
        """The kinds with a ranking, in order."""
        return list(dict.fromkeys(self.rows["kind"]))


def rankings(table: pd.DataFrame, *, baseline: str | None = None, metric: str = "variance") -> Rankings:
    """Ranks the estimators of a table on each kind of problem.

    An additive model of the logarithms, estimator + problem, compares every two estimators on the problems that they
    share (`bench.statistics.additive`). Of any two that are ranked, `ratio` lies in the interval of their direct
    comparison (`bench.analysis.comparison`); an estimator for which this does not hold, or that shares too few problems
    with the others, is shown apart (`bench.analysis.common_ground`).

    Args:
        table: The table of a run, long or wide.
        baseline: The estimator whose ratio is 1. Default: reinforce.
        metric: The metric to rank by; lower is better, or higher, as the metric declares.

    Raises:
        BadInput: There is no such metric, its ratios have no meaning, or there is no such baseline.
    """
    lower_is_better = comparable(metric)
    rows = latest(wide_table(table))
    chosen = named_baseline(rows, baseline) if len(rows) else ""
    rows = rows.assign(identity=problem_identity(rows))
    found, models = [], {}
    for kind in in_order(rows["kind"]) if len(rows) else []:
        of_kind = rows[rows["kind"] == kind]
        for way, column in equal(metric).items():
            cells = MeasuredCells.of(of_kind, column)
            if cells is None:
                continue
            ranking = cells.ranking(kind, way, lower_is_better)
            found += cells.lines(ranking, cells.baseline(ranking, chosen))
            models[kind, way] = ranking
    return Rankings(chosen, pd.DataFrame(found, columns=[*RANKED, *RANKED_NUMBERS, *COUNTS, "apart"]), models)


@dataclass(frozen=True)
class MeasuredCells:
    """The cells of one kind with a value of one metric.

    `cells`: those with a logarithm. `every`: also those of value 0. Their columns `setting` (problem, samples; for
    times the machine) and `identity` (the problem) say what estimators share.
    """

    cells: pd.DataFrame
    every: pd.DataFrame
    metric: str

    @classmethod
    def of(cls, rows: pd.DataFrame, metric: str) -> "MeasuredCells | None":
        """Returns the cells of one kind; None if no two estimators have a variance on one problem."""
        machine = ["env"] if METRICS[metric].group == "throughput" and "env" in rows else []
        numbers = [metric, f"{metric}_low", f"{metric}_high"]
        measured = rows.loc[rows[metric].notna(), ["estimator", "problem", "samples", *machine, "identity", "verdict"]]
        every = measured.astype(object).join(rows[numbers].astype(float))
        every["setting"] = every.groupby(["problem", "samples", *machine], sort=False, dropna=False).ngroup()
        every = every[np.isfinite(every[metric]) & (every[metric] >= 0)]
        cells = every[every[metric] > 0]
        return cls(cells, every, metric) if cells["setting"].duplicated().any() else None

    def ranking(self, kind: str, way: str, lower_is_better: bool) -> KindRanking:
        """Returns the model of the estimators that share problems and agree with their direct comparisons."""
        names = sorted(self.cells["estimator"].unique())
        apart = dict.fromkeys(sorted(set(self.every["estimator"]) - set(names)), "has no variance on any problem")
        names, left = _split(names, sharing(*self.presence(names)))
        apart |= {name: self.too_few(name, names) for name in left}
        while True:
            rows, columns, model = self.fitted(names)
            names, left = _split(names, agreeing(model, rows, columns, self.values(names)))
            if not left:
                break
            apart |= dict.fromkeys(left, DISAGREES)
        order = np.argsort((model.effects if lower_is_better else -model.effects).round(9), kind="stable")
        names = [names[row] for row in order]
        return KindRanking(kind, way, tuple(names), self.fitted(names)[2], apart)

    def presence(self, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Returns where each estimator has a value, `[estimators, settings]`, and the problem of each setting."""
        cells = self.cells
        setting, first = pd.factorize(cells["setting"])[0], ~cells["setting"].duplicated()
        present = np.zeros((len(names), setting.max() + 1), bool)
        present[cells["estimator"].map(names.index), setting] = True
        return present, pd.factorize(cells["identity"])[0][first]

    def values(self, names: list[str]) -> Interval:
        """Returns the values of some of the estimators, with their intervals; a count is exact."""
        found = Interval.of_columns(self.cells[self.cells["estimator"].isin(names)], self.metric)
        return found.or_exact(METRICS[self.metric].unit == "calls")

    def fitted(self, names: list[str]) -> tuple[np.ndarray, np.ndarray, Additive]:
        """Returns the row and the column of each cell of some estimators, and the model; rows in the given order."""
        cells = self.cells[self.cells["estimator"].isin(names)]
        rows = cells["estimator"].map(names.index).to_numpy(int)
        columns, problems = (pd.factorize(cells[each])[0] for each in ("setting", "identity"))
        return rows, columns, additive(rows, columns, problems, self.values(names))

    def baseline(self, ranking: KindRanking, chosen: str) -> str:
        """Returns the table's baseline if it is ranked, else the estimator measured on most problems of the kind."""
        if chosen in ranking.names:
            return chosen
        return most_measured(self.cells[self.cells["estimator"].isin(ranking.names)], self.metric) or chosen

    def lines(self, ranking: KindRanking, baseline: str) -> list[dict[str, Any]]:
        """Returns the rows of `Rankings.rows`: the ranked estimators, best first, then those apart."""
        shared = self.cells[self.cells["setting"].duplicated(keep=False)]
        counts = pd.DataFrame({
            "problems": _problems_of(shared),
            "without_variance": _problems_of(self.every[self.every[self.metric] == 0]),
            "biased_on": _problems_of(self.every[self.every["verdict"] == "biased"]),
        }).reindex([*ranking.names, *ranking.apart]).fillna(0).astype(int)  # fmt: skip
        found = []
        for name, own in counts.iterrows():
            ratio = ranking.ratio(name, baseline) if name in ranking.names else self.direct(name, baseline)
            found.append({
                "kind": ranking.kind, "equal": ranking.equal, "estimator": name, "baseline": baseline,
                **dict(zip(RANKED_NUMBERS, (ratio.value, *ratio.measured[1:], *ratio.chosen[1:]), strict=True)),
                **own, "of_problems": shared["identity"].nunique(), "apart": ranking.apart.get(name, ""),
            })  # fmt: skip
        return found

    def direct(self, name: str, baseline: str) -> OverProblems:
        """Returns the ratio of two estimators on the problems that they share; 0 for one without any variance."""
        if not (self.cells["estimator"] == name).any():
            return OverProblems.exact(0.0, 0)
        one, other = (self.cells[self.cells["estimator"] == each] for each in (name, baseline))
        both = one.merge(other, on="setting", suffixes=("", "_of_baseline"))
        ends = (Interval.of_columns(both, self.metric, suffix) for suffix in ("", "_of_baseline"))
        above, below = (each.or_exact(METRICS[self.metric].unit == "calls") for each in ends)
        return mean_ratio(above.over(below), list(both["identity"]))

    def too_few(self, name: str, ranked: list[str]) -> str:
        """Returns why an estimator is not ranked that shares too few problems with ranked estimators."""
        mine, cells = self.cells["estimator"] == name, self.cells["estimator"].isin(ranked)
        others = self.cells[cells]
        with_each = self.cells[mine].merge(others, on="setting", suffixes=("", "_of_other"))
        shared = with_each.groupby("estimator_of_other")["identity"].nunique().reindex(ranked, fill_value=0)
        return f"shares only {shared.min()} of {others['identity'].nunique()} problems with {shared.idxmin()}"


def _problems_of(cells: pd.DataFrame) -> pd.Series:
    """Returns the number of problems of each estimator."""
    return cells.groupby("estimator")["identity"].nunique()


def _split(names: list[str], kept: np.ndarray) -> tuple[list[str], list[str]]:
    """Returns the names that are kept, and the others."""
    pairs = list(zip(names, kept, strict=True))
    return [name for name, stays in pairs if stays], [name for name, stays in pairs if not stays]
