"""The answer in short: on each kind of problem, which unbiased estimator, how much better, how sure."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from bench.analysis.comparison import EQUAL, latest
from bench.analysis.ranking import KindRanking, Rankings, rankings
from bench.statistics.over_problems import OverProblems
from bench.tables.kinds import in_order
from bench.tables.sizes import problem_sizes
from bench.tables.wide import wide_table

LEAVE_ONE_OUT = "rloo"
"""The name of the estimator that winners are compared with, where it is ranked."""
DECIDING = ("seconds", "evaluations", "samples")
"""The quantity held equal by which a winner is found: the first that was measured."""


@dataclass(frozen=True)
class BiasBound:
    """What is known of an estimator's bias on some problems, relative to the gradient's length.

    `at_most`: the largest upper end of a 95 % interval among the `unbiased` verdicts, `unclear_at_most` among the
    `unclear` ones; NaN without one. `unbiased`, `unclear`: the numbers of these verdicts' problems.
    """

    at_most: float
    unbiased: int
    unclear_at_most: float
    unclear: int


@dataclass(frozen=True)
class Winner:
    """The unbiased estimator of least variance on one kind of problem, at one number of samples.

    `decided_at`: the quantity held equal that decides: time, or evaluations or samples where no time was measured.
    `runner_up`: the next one, None if there is none. `ties`: the estimators, the runner-up first, whose ratio to the
    winner is not shown to be above 1: the 95 % interval of the noise of measuring contains 1. `reference`:
    leave-one-out, or the table's baseline where that is not ranked. `over_reference`, `over_runner_up`: the winner's
    variance divided by theirs, for each quantity held equal, with both intervals. `problems`: the number of problems of
    the winner's ratios, `of_problems` that of the kind.
    """

    kind: str
    samples: int
    estimator: str
    decided_at: str
    runner_up: str | None
    ties: tuple[str, ...]
    reference: str
    over_reference: dict[str, OverProblems] = field(repr=False)
    over_runner_up: dict[str, OverProblems] = field(repr=False)
    bias: BiasBound = field(repr=False)
    problems: int = 0
    of_problems: int = 0
    size: int | None = None
    """The size of its problems; None: of all sizes."""


def kind_winners(
    table: pd.DataFrame, *, baseline: str | None = None, judged: pd.DataFrame | None = None
) -> list[Winner]:
    """Returns the winner of each kind of problem and number of samples, in this order.

    A candidate is ranked, is nowhere on the kind shown biased (at any number of samples), and somewhere shown unbiased.
    A kind without one is left out. The intervals are those of each ratio alone. That the winner was chosen among
    several is not in them: its lead over the estimators in `ties` may be chance.

    Args:
        table: The table of a run, long or wide.
        baseline: The estimator to compare with where leave-one-out is not ranked. Default: reinforce.
        judged: The table whose verdicts decide who is a candidate, where `table` is a part of it: an estimator that is
            biased on a kind may have a bias too small to be shown on some of its problems. Default: `table`.
    """
    rows = latest(wide_table(table))
    verdicts = rows if judged is None else latest(wide_table(judged))
    found = []
    for samples in sorted(int(n) for n in rows["samples"].dropna().unique()):
        own = rows[rows["samples"] == samples]
        known = baseline if baseline in set(own["estimator"]) else None
        ranked = rankings(own, baseline=known)
        for kind in ranked.kinds:
            able = unbiased_estimators(verdicts[verdicts["kind"] == kind])
            winner = _winner(ranked, kind, samples, own[own["kind"] == kind], able)
            found += [] if winner is None else [winner]
    kinds = in_order(rows["kind"])
    return sorted(found, key=lambda each: (kinds.index(each.kind), each.samples))


def winners_by_size(
    table: pd.DataFrame, *, baseline: str | None = None, judged: pd.DataFrame | None = None
) -> list[Winner]:
    """Returns the winner on the problems of each kind and size, at the largest number of samples that has one.

    Only of kinds with several sizes. `judged`: as in `kind_winners`; a candidate is judged on all sizes.
    """
    rows = wide_table(table)
    sizes, found = problem_sizes(rows), []
    judged = rows if judged is None else judged
    for kind in in_order(rows["kind"]):
        of_kind = rows["kind"] == kind
        known = sorted(sizes[of_kind].dropna().unique())
        for size in known if len(known) > 1 else []:
            own = rows[of_kind & (sizes == size)]
            counts = sorted(own["samples"].dropna().unique(), reverse=True)
            by_samples = (kind_winners(own[own["samples"] == n], baseline=baseline, judged=judged) for n in counts)
            largest = next(filter(None, by_samples), [])
            found += [replace(each, size=int(size)) for each in largest]
    return found


def _winner(ranked: Rankings, kind: str, samples: int, rows: pd.DataFrame, unbiased: set[str]) -> Winner | None:
    """Returns the winner on one kind, of the estimators in `unbiased`; `rows` are its cells at `samples`."""
    ways = {way: ranked.of[kind, way] for way in EQUAL if (kind, way) in ranked.of}
    decided_at = next(way for way in DECIDING if way in ways)
    ranking = ways[decided_at]
    able = [name for name in ranking.names if name in unbiased]
    if len(ranking.names) < 2 or not able:
        return None
    best, others = able[0], able[1:]
    lines = ranked.rows[(ranked.rows["kind"] == kind) & (ranked.rows["equal"] == decided_at)].set_index("estimator")
    named = rows.drop_duplicates("estimator").set_index("estimator")["name"]
    reference = next((each for each in ranking.names if named[each] == LEAVE_ONE_OUT), lines["baseline"].iloc[0])
    return Winner(
        kind, samples, best, decided_at,
        others[0] if others else None,
        tuple(name for name in others if ranking.ratio(best, name).measured.high >= 1),
        reference,
        _ratios(ways, best, reference), _ratios(ways, best, others[0]) if others else {},
        bias_bound(rows[rows["estimator"] == best]),
        int(lines.loc[best, "problems"]), int(lines.loc[best, "of_problems"]),
    )  # fmt: skip


def _ratios(ways: dict[str, KindRanking], one: str, other: str) -> dict[str, OverProblems]:
    """Returns the ratio of two estimators for each quantity held equal at which both are ranked."""
    return {way: each.ratio(one, other) for way, each in ways.items() if {one, other} <= set(each.names)}


def unbiased_estimators(rows: pd.DataFrame) -> set[str]:
    """Returns the estimators that are nowhere shown biased and somewhere shown unbiased."""
    said = rows.groupby("estimator")["verdict"].agg(set)
    return {str(name) for name, verdicts in said.items() if "unbiased" in verdicts and "biased" not in verdicts}


def bias_bound(cells: pd.DataFrame) -> BiasBound:
    """Returns what the verdicts on an estimator's cells say of its bias."""
    at_most, counts = {}, {}
    for verdict in ("unbiased", "unclear"):
        own = cells[cells["verdict"] == verdict]
        ends = own["relative_bias_high"].astype(float)
        at_most[verdict] = float(ends.max()) if ends.notna().any() else np.nan
        counts[verdict] = own["problem"].nunique()
    return BiasBound(at_most["unbiased"], counts["unbiased"], at_most["unclear"], counts["unclear"])
