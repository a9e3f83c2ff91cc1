"""Comparison of estimators with a baseline, per problem and overall, at equal samples, evaluations and time."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from bench.analysis.regressions import Regressions, compare_runs
from bench.display.notebook import InNotebooks
from bench.display.terminal import STYLES, interval
from bench.statistics.interval import Interval
from bench.statistics.ratios import middle, verdicts
from bench.tables.folder import load
from bench.tables.metrics import METRICS, Metric
from bench.tables.where import select
from bench.tables.wide import wide_table
from estimators.errors import BadInput, nearest

DEFAULT_BASELINE = "reinforce"
EQUAL = {
    "samples": "variance",
    "evaluations": "variance_per_evaluation",
    "seconds": "work_normalised_variance",
}
"""The quantity held equal, and the metric whose ratio is then the ratio of variances."""
EQUAL_WORDS = {"samples": "equal samples", "evaluations": "equal evaluations", "seconds": "equal time"}
"""`EQUAL` in words."""
PAIR = ["problem", "samples", "equal", "estimator", "baseline"]
ABOUT_MEAN = ["verdict", "direction", "relative_bias", "angle", "angle_low", "angle_high"]
"""Columns of a pair about the estimator's mean: its bias, and its angle to the exact gradient, in degrees."""


@dataclass(frozen=True)
class Comparison(InNotebooks):
    """Ratios of a metric to a baseline's.

    `pairs`: one row per problem × samples × quantity held equal × estimator: `ratio`, `ratio_low`, `ratio_high`,
    `outcome` (better, worse, same within `margin`, unclear), and the estimator's bias `verdict`, `direction`, and
    `angle` with its ends `angle_low` and `angle_high`, in degrees.
    `overall`: one row per estimator × quantity held equal, best first: the interquartile mean of the log ratios over
    problems, as a ratio with its interval, `problems` (their number), `biased_on` (the number of those on which the
    estimator is shown biased).
    `notes`: sentences about comparisons that could not be made.
    """

    metric: str
    baseline: str
    margin: float
    pairs: pd.DataFrame = field(repr=False)
    overall: pd.DataFrame = field(repr=False)
    notes: tuple[str, ...] = ()

    def __rich__(self) -> object:
        return comparison_view(self)


def compare(
    results: str | Path | pd.DataFrame,
    other: str | Path | pd.DataFrame | None = None,
    *,
    baseline: str | None = None,
    metric: str = "variance",
    margin: float = 0.1,
    where: str | None = None,
    fail_on: str | None = None,
) -> Comparison | Regressions:
    """Ranks the estimators of a run against a baseline, or compares a second run with a first.

    Args:
        results: A suite's name (of its run), the folder of a run, or a table.
        other: A second run, to compare with the first.
        baseline: The estimator to compare the others with. Default: reinforce.
        metric: The metric to compare.
        margin: An estimator whose ratio is within this share of 1 counts as the same.
        where: Compares only these cells, e.g. 'samples >= 4'.
        fail_on: Limits for the second run, e.g. 'variance>10%'; beyond a limit the command exits with 1.

    Returns:
        A `Comparison` of estimators; with `other`, the `Regressions` of the second run.

    Raises:
        BadInput: A run, a baseline or a metric does not exist, or no cell is left to compare.
    """
    tables = [_chosen(each, where) for each in (results, other) if each is not None]
    if len(tables) == 2:
        return compare_runs(*tables, fail_on or "", metric=metric)
    if fail_on:
        raise BadInput(f"--fail-on {fail_on!r} compares a second run with the first: give two runs")
    return compare_estimators(*tables, baseline=baseline, metric=metric, margin=margin)


def _chosen(results: str | Path | pd.DataFrame, where: str | None) -> pd.DataFrame:
    """Returns the rows of a run's table that match a filter. Raises BadInput if none does."""
    table = load(results)
    found = select(table, where)
    if where and not len(found):
        of = "" if isinstance(results, pd.DataFrame) else f" of {results}"
        raise BadInput(f"--where {where!r} selects no row{of}")
    return found


def compare_estimators(
    table: pd.DataFrame, *, baseline: str | None = None, metric: str = "variance", margin: float = 0.1
) -> Comparison:
    """Returns the comparison of every estimator with `baseline` (default: REINFORCE), on the problems both measured.

    If the baseline was not measured on a problem, the estimator measured on most problems, among those not shown
    biased, replaces it there, with a note. Such problems are left out of `overall`. Raises BadInput if the metric or
    the baseline does not exist.
    """
    better, equals = comparable(metric), equal(metric)
    rows = latest(wide_table(table))
    chosen = named_baseline(rows, baseline)
    stand_ins, notes = _stand_ins(rows, chosen, metric)
    pairs = _pairs(rows, rows["problem"].map(stand_ins), equals)
    outcome = [
        verdicts(Interval.of_columns(group, "ratio"), margin, lower_is_better=better)
        for _, group in pairs.groupby("equal", sort=False)
    ]
    pairs["outcome"] = [word for words in outcome for word in words]
    overall = _overall(pairs[pairs["baseline"] == chosen], better)
    return Comparison(metric, chosen, margin, pairs, overall, tuple(notes))


def comparable(metric: str) -> bool:
    """Returns whether lower is better. Raises BadInput for an unknown metric or one whose ratios have no meaning."""
    if metric not in METRICS:
        raise BadInput(f"there is no metric {metric!r}; {nearest(metric, METRICS)}")
    declared: Metric = METRICS[metric]
    if declared.direction not in ("lower", "higher"):
        raise BadInput(f"metric {metric!r} cannot be compared by ratios; variance, mse or seconds_per_estimate can")
    return declared.direction == "lower"


def equal(metric: str) -> dict[str, str]:
    """Returns the quantities held equal, each with the metric to divide: three for variance, one for other metrics."""
    return EQUAL if metric == "variance" else {"samples": metric}


def latest(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns the latest cell of each problem, estimator and sample size (there may be other settings or reruns)."""
    ordered = rows.sort_values("created", kind="stable") if "created" in rows else rows
    return ordered.drop_duplicates(["problem", "estimator", "samples"], keep="last").sort_index()


def named_baseline(rows: pd.DataFrame, baseline: str | None) -> str:
    """Returns the label of the baseline, given as a label or as a name that only one estimator has.

    Raises BadInput if there is no such estimator or several.
    """
    labels = rows["estimator"].unique()
    if not len(labels):
        raise BadInput("this table has no cell: there is nothing to compare")
    if baseline in labels:
        return str(baseline)
    wanted = baseline or DEFAULT_BASELINE
    of_that_name = rows.loc[rows["name"] == wanted, "estimator"].unique()
    if len(of_that_name) == 1:
        return str(of_that_name[0])
    if baseline is None and len(labels):
        return _most_measured(rows, "variance") or str(labels[0])
    if len(of_that_name):
        raise BadInput(f"the baseline {baseline!r} could be {', '.join(of_that_name)}; give one of these labels")
    raise BadInput(f"there is no estimator {wanted!r} in this table; {nearest(wanted, labels)}")


def _stand_ins(rows: pd.DataFrame, chosen: str, metric: str) -> tuple[dict[str, str], list[str]]:
    """Returns the baseline of each problem, and a sentence for each problem where it is not `chosen`."""
    baselines: dict[str, str] = {}
    notes = []
    for problem, group in rows.groupby("problem", sort=False):
        measured = group[group[metric].notna()]
        if (measured["estimator"] == chosen).any():
            baselines[str(problem)] = chosen
            continue
        other = _most_measured(rows[rows["estimator"].isin(measured["estimator"])], metric)
        if other is not None:
            baselines[str(problem)] = other
            notes.append(
                f"{problem}: {chosen} was not measured, so {other} is the baseline; left out of the overall ranking"
            )
    return baselines, notes


def _most_measured(rows: pd.DataFrame, metric: str) -> str | None:
    """Returns the estimator measured on most problems, among those never shown biased if there are any."""
    measured = rows[rows[metric].notna()]
    biased = measured.loc[measured["verdict"] == "biased", "estimator"].unique()
    honest = measured[~measured["estimator"].isin(biased)]
    counts = (honest if len(honest) else measured).groupby("estimator")["problem"].nunique()
    return str(counts.sort_index().idxmax()) if len(counts) else None


def _pairs(rows: pd.DataFrame, baselines: pd.Series, equals: dict[str, str]) -> pd.DataFrame:
    """Returns every estimator with its problem's baseline at the same number of samples, and their ratio."""
    rows = rows.assign(baseline=baselines).dropna(subset="baseline")
    base = rows[rows["estimator"] == rows["baseline"]]
    both = rows[rows["estimator"] != rows["baseline"]].merge(
        base, on=["problem", "samples"], suffixes=("", "_of_baseline"), how="inner"
    )
    ratios = [_ratios(both, name, metric) for name, metric in equals.items()]
    return pd.concat(ratios, ignore_index=True).dropna(subset="ratio").reset_index(drop=True)


def _ratios(both: pd.DataFrame, name: str, metric: str) -> pd.DataFrame:
    """Returns one row per pair: the ratio of one metric. Times from different machines are not compared."""
    ratio = metric_intervals(both, metric).over(metric_intervals(both, metric, "_of_baseline"))
    frame = both[["problem", "samples", "estimator", "baseline", *ABOUT_MEAN]].copy()
    frame["equal"] = name
    frame["ratio"], frame["ratio_low"], frame["ratio_high"] = ratio
    if METRICS[metric].group == "throughput" and "env" in both:
        frame = frame[both["env"].eq(both["env_of_baseline"]).fillna(True).to_numpy()]
    return frame[[*PAIR, "ratio", "ratio_low", "ratio_high", *ABOUT_MEAN]]


def metric_intervals(rows: pd.DataFrame, metric: str, suffix: str = "") -> Interval:
    """Returns a metric's values with their intervals. A count is exact: both ends of its interval are its value."""
    interval = Interval.of_columns(rows, metric, suffix)
    return interval.or_exact((METRICS[metric].unit == "calls") | (interval.value == 0))


def _overall(pairs: pd.DataFrame, lower_is_better: bool) -> pd.DataFrame:
    """Returns the interquartile mean of the log ratios over problems, best first."""
    rows = [_over_problems(group) | {"equal": equal, "estimator": estimator}
            for (equal, estimator), group in pairs.groupby(["equal", "estimator"], sort=False)]  # fmt: skip
    columns = ["equal", "estimator", "ratio", "ratio_low", "ratio_high", "best", "worst", "problems", "biased_on"]
    frame = pd.DataFrame(rows, columns=columns).astype({"ratio": float, "ratio_low": float, "ratio_high": float})
    order = pd.Categorical(frame["equal"], categories=[*EQUAL], ordered=True)
    ranked = frame.assign(_order=order).sort_values(["_order", "ratio"], ascending=[True, lower_is_better])
    return ranked.drop(columns="_order").reset_index(drop=True)


def _over_problems(group: pd.DataFrame) -> dict[str, object]:
    """Returns the summary of an estimator's ratios over its problems."""
    ratio = middle(Interval.of_columns(group, "ratio"), list(group["problem"]))
    biased = group.loc[group["verdict"] == "biased", "problem"].nunique()
    return {
        "ratio": float(ratio.value),
        "ratio_low": float(ratio.low),
        "ratio_high": float(ratio.high),
        "best": group["ratio"].min(),
        "worst": group["ratio"].max(),
        "problems": group["problem"].nunique(),
        "biased_on": biased,
    }


def comparison_view(comparison: Comparison) -> RenderableType:
    """Returns the overall ranking, a table per problem, and the notes, for a terminal."""
    parts: list[RenderableType] = [_overall_view(comparison)] if len(comparison.overall) else []
    parts += [
        _problem_view(comparison, str(problem), group)
        for problem, group in comparison.pairs.groupby("problem", sort=False)
    ]
    if not len(comparison.pairs):
        parts.append(Text(f"Nothing to compare: no other estimator shares a problem with {comparison.baseline}."))
    return Group(*parts, *(Text(note, style="yellow") for note in comparison.notes))


def _overall_view(comparison: Comparison) -> Table:
    table = Table(
        title=f"{comparison.metric} relative to {escape(comparison.baseline)}, over problems",
        caption="Interquartile mean of log ratios, with its 95 % interval; lower variance is better. "
        "Estimators measured on different problems have means over different problems.",
    )
    ways = list(dict.fromkeys(comparison.overall["equal"]))
    for name in ("estimator", *(f"at {EQUAL_WORDS[way]}" for way in ways), "problems", "biased on"):
        table.add_column(name, justify="left" if name == "estimator" else "right")
    for estimator, group in comparison.overall.groupby("estimator", sort=False):
        rows = {row["equal"]: row for row in group.to_dict("records")}
        ratios = [interval(rows[way]) if way in rows else "—" for way in ways]
        most = max(rows.values(), key=lambda row: row["problems"])
        table.add_row(escape(str(estimator)), *ratios, str(most["problems"]), str(most["biased_on"]))
    return table


def angle_in_words(row: dict[Hashable, Any]) -> str:
    """Returns the angle between E ĝ and the exact gradient in degrees, with its interval; a dash without one.

    >>> angle_in_words({"angle": 12.34, "angle_low": 10.0, "angle_high": 15.0}), angle_in_words({"angle": float("nan")})
    ('12° (10 to 15)', '—')
    """
    if pd.isna(row["angle"]):
        return "—"
    return f"{row['angle']:.2g}° ({row['angle_low']:.2g} to {row['angle_high']:.2g})"


def _problem_view(comparison: Comparison, problem: str, group: pd.DataFrame) -> Table:
    base = group["baseline"].iloc[0]
    ways = list(dict.fromkeys(group["equal"]))
    table = Table(title=f"{escape(problem)}: {comparison.metric} relative to {escape(base)}")
    for name in (
        "estimator",
        "n",
        *(f"at {EQUAL_WORDS[way]}" for way in ways),
        "outcome",
        "bias",
        "direction",
        "angle",
    ):
        table.add_column(name, justify="right" if name.startswith(("n", "at")) else "left")
    for (samples, estimator), rows in group.groupby(["samples", "estimator"], sort=False):
        by = {row["equal"]: row for row in rows.to_dict("records")}
        first = next(iter(by.values()))
        table.add_row(
            escape(str(estimator)),
            str(samples),
            *(interval(by[way]) if way in by else "—" for way in ways),
            Text(first["outcome"], style=STYLES.get(first["outcome"], "")),
            Text(first["verdict"], style=STYLES.get(first["verdict"], "")),
            Text(first["direction"], style=STYLES.get(first["direction"], "")),
            angle_in_words(first),
        )
    return table
