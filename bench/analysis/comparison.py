"""Comparison of estimators with a baseline, per problem and overall, at equal samples, evaluations and time."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import json
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from bench.analysis.bias_order import scale_words
from bench.analysis.regressions import Regressions, compare_runs, frame_rows
from bench.display.notebook import InNotebooks
from bench.display.terminal import STYLES, interval
from bench.statistics.interval import Interval
from bench.statistics.over_problems import mean_ratio
from bench.statistics.ratios import verdicts
from bench.tables.cells import read_cells
from bench.tables.kinds import in_order
from bench.tables.metrics import METRICS, Metric
from bench.tables.wide import PROBLEM, numbered, wide_table
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
MOST_PROBLEMS = 60
"""The largest number of problems whose own tables a terminal shows."""
PAIR = ["kind", "problem", "samples", "equal", "estimator", "baseline"]
OF_BIAS = ["verdict", "relative_bias", "direction", "angle", "angle_low", "angle_high",
           "scale_verdict", "scale", "scale_low", "scale_high"]  # fmt: skip
"""Columns of a pair about the estimator's bias: whether there is one, its size, where it lies (angles in degrees)."""
METRICS_OF_A_PAIR = ("variance", "relative_bias", "angle", "scale")
"""Metrics that a comparison reads beside the compared one."""
OF_LENGTH_AND_DIRECTION = ("bias", "relative_bias")
"""Metrics that count a wrong length, which an optimiser cancels, as much as a wrong direction."""


@dataclass(frozen=True)
class Comparison(InNotebooks):
    """Ratios of a metric to a baseline's.

    `pairs`: one row per problem × samples × quantity held equal × estimator: `ratio`, `ratio_low`, `ratio_high`,
    `outcome` (better, worse, same within `margin`, unclear), the estimator's bias `verdict` and where its bias lies:
    the verdicts on its `direction` and its scale (`scale_verdict`), with the `angle`, in degrees, the `scale` and their
    intervals; `without_variance`: one of the two has none.
    `overall`: one row per kind of problem × quantity held equal × estimator, best first: the mean of the log ratios
    over the problems of that kind that both ran on, as a ratio with two intervals: noise of measuring (`ratio_low`,
    `ratio_high`) and choice of problems (`problems_low`, `problems_high`); `problems` (their number),
    `without_variance` (those of them left out of the mean, because an estimator without variance has no log ratio),
    `biased_on` (those on which the estimator is shown biased).
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

    def to_json(self) -> str:
        """Returns the comparison as one JSON object: the tables as lists of rows, null where there is no number."""
        tables = {name: frame_rows(frame) for name, frame in (("pairs", self.pairs), ("overall", self.overall))}
        about = {"metric": self.metric, "baseline": self.baseline, "margin": self.margin, "notes": self.notes}
        return json.dumps(about | tables, ensure_ascii=False)


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
    given = [each for each in (results, other) if each is not None]
    if len(given) == 2:
        runs = [read_cells(each, where=where, batches=True) for each in given]
        return compare_runs(*runs, fail_on or "", metric=metric)
    if fail_on:
        raise BadInput(f"--fail-on {fail_on!r} compares a second run with the first: give two runs")
    comparable(metric)
    needed = dict.fromkeys([*equal(metric).values(), metric, *METRICS_OF_A_PAIR])
    return compare_estimators(
        read_cells(results, where=where, metrics=needed), baseline=baseline, metric=metric, margin=margin
    )


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
    del table, rows  # of a million cells, they take as much memory as the pairs
    outcome = [
        verdicts(Interval.of_columns(group, "ratio"), margin, lower_is_better=better)
        for _, group in pairs.groupby("equal", sort=False)
    ]
    pairs["outcome"] = [word for words in outcome for word in words]
    overall = overall_table(pairs[pairs["baseline"] == chosen], better)
    return Comparison(metric, chosen, margin, pairs, overall, tuple(notes))


def comparable(metric: str) -> bool:
    """Returns whether lower is better. Raises BadInput for an unknown metric or one whose ratios have no meaning."""
    if metric not in METRICS:
        raise BadInput(f"there is no metric {metric!r}; {nearest(metric, METRICS)}")
    if metric in OF_LENGTH_AND_DIRECTION:
        raise BadInput(
            f"metric {metric!r} counts a wrong length, which an optimiser cancels, as much as a wrong direction, and "
            "ranks nothing; compare angle, and read the column scale"
        )
    declared: Metric = METRICS[metric]
    if declared.direction not in ("lower", "higher"):
        raise BadInput(f"metric {metric!r} cannot be compared by ratios; variance, mse or seconds_per_estimate can")
    return declared.direction == "lower"


def equal(metric: str) -> dict[str, str]:
    """Returns the quantities held equal, each with the metric to divide: three for variance, one for other metrics."""
    return EQUAL if metric == "variance" else {"samples": metric}


def latest(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns the latest cell of each problem, estimator and sample size (there may be other settings or reruns)."""
    key = ["problem", "estimator", "samples"]
    if not rows.duplicated(key).any():
        return rows
    ordered = rows.sort_values("created", kind="stable") if "created" in rows else rows
    return ordered.drop_duplicates(key, keep="last").sort_index()


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
        return most_measured(rows, "variance") or str(labels[0])
    if len(of_that_name):
        raise BadInput(f"the baseline {baseline!r} could be {', '.join(of_that_name)}; give one of these labels")
    raise BadInput(f"there is no estimator {wanted!r} in this table; {nearest(wanted, labels)}")


def _stand_ins(rows: pd.DataFrame, chosen: str, metric: str) -> tuple[dict[str, str], list[str]]:
    """Returns the baseline of each problem, and a sentence for each problem where it is not `chosen`."""
    measured = rows.loc[rows[metric].notna(), ["problem", "estimator"]]
    by_rank = [chosen, *(name for name in most_measured_first(rows, metric) if name != chosen)]
    rank = measured["estimator"].map({name: place for place, name in enumerate(by_rank)})
    best = rank.groupby(measured["problem"], sort=False).min()
    baselines = {str(problem): by_rank[int(place)] for problem, place in best.items()}
    notes = [
        f"{problem}: {chosen} was not measured, so {other} is the baseline; left out of the overall ranking"
        for problem, other in baselines.items()
        if other != chosen
    ]
    return baselines, notes


def most_measured_first(rows: pd.DataFrame, metric: str) -> list[str]:
    """Returns the estimators: those never shown biased first, of these those measured on most problems first."""
    measured = rows[rows[metric].notna()]
    biased = set(measured.loc[measured["verdict"] == "biased", "estimator"])
    counts = measured.groupby("estimator")["problem"].nunique()
    return sorted(counts.index, key=lambda name: (name in biased, -counts[name], name))


def most_measured(rows: pd.DataFrame, metric: str) -> str | None:
    """Returns the first of `most_measured_first`; None if nothing was measured."""
    return next(iter(most_measured_first(rows, metric)), None)


def _pairs(rows: pd.DataFrame, baselines: pd.Series, equals: dict[str, str]) -> pd.DataFrame:
    """Returns every estimator with its problem's baseline at the same number of samples, and their ratio."""
    own = [f"{metric}{end}" for metric in equals.values() for end in ("", "_low", "_high")]
    divided = ["problem", "samples", *(name for name in ("env", *own) if name in rows)]
    kept = list(dict.fromkeys([*divided, "kind", "estimator", *OF_BIAS]))
    texts = {"problem": rows["problem"].astype("category"), "identity": problem_identity(rows).astype("category")}
    rows = rows[kept].assign(baseline=baselines, **texts).dropna(subset="baseline")
    is_baseline = rows["estimator"] == rows["baseline"]
    base = rows.loc[is_baseline, divided]
    both = rows[~is_baseline].merge(base, on=["problem", "samples"], suffixes=("", "_of_baseline"), how="inner")
    del rows, base
    return pd.concat([_ratios(both, name, metric) for name, metric in equals.items()], ignore_index=True)


def _ratios(both: pd.DataFrame, name: str, metric: str) -> pd.DataFrame:
    """Returns one row per pair: the ratio of one metric. Times from different machines are not compared."""
    ratio = metric_intervals(both, metric).over(metric_intervals(both, metric, "_of_baseline"))
    known = ["kind", "problem", "samples", "estimator", "baseline", *OF_BIAS, "identity"]
    frame = both[known].assign(equal=name)
    frame["ratio"], frame["ratio_low"], frame["ratio_high"] = ratio
    frame["without_variance"] = both[metric].eq(0) | both[f"{metric}_of_baseline"].eq(0)
    if METRICS[metric].group == "throughput" and "env" in both:
        frame = frame[both["env"].eq(both["env_of_baseline"]).fillna(True).to_numpy()]
    measured = ["ratio", "ratio_low", "ratio_high", "without_variance", *OF_BIAS]
    return frame[[*PAIR, *measured, "identity"]].dropna(subset="ratio")


def problem_identity(rows: pd.DataFrame) -> pd.Series:
    """Returns a text that is the same for cells of one problem, on whatever device and with whatever seed."""
    number, distinct = numbered(rows[[*PROBLEM]])
    texts = [" ".join(map(str, each)) for each in distinct.itertuples(index=False, name=None)]
    return pd.Series(np.array(texts, dtype=object)[number], index=rows.index)


def metric_intervals(rows: pd.DataFrame, metric: str, suffix: str = "") -> Interval:
    """Returns a metric's values with their intervals. A count is exact: both ends of its interval are its value."""
    interval = Interval.of_columns(rows, metric, suffix)
    return interval.or_exact((METRICS[metric].unit == "calls") | (interval.value == 0))


def overall_table(pairs: pd.DataFrame, lower_is_better: bool) -> pd.DataFrame:
    """Returns the table `overall` of a comparison from its `pairs`."""
    keys = ["kind", "equal", "estimator"]
    rows = [dict(zip(keys, key, strict=True)) | _mean_of(group) for key, group in pairs.groupby(keys, sort=False)]
    numbers = ["ratio", "ratio_low", "ratio_high", "problems_low", "problems_high", "best", "worst"]
    frame = pd.DataFrame(rows, columns=[*keys, *numbers, "problems", "without_variance", "biased_on"])
    frame = frame.astype(dict.fromkeys(numbers, float))
    order = {name: place for names in (in_order(frame["kind"]), EQUAL) for place, name in enumerate(names)}
    ranked = frame.assign(_kind=frame["kind"].map(order), _equal=frame["equal"].map(order))
    ranked = ranked.sort_values(["_kind", "_equal", "ratio"], ascending=[True, True, lower_is_better], kind="stable")
    return ranked.drop(columns=["_kind", "_equal"]).reset_index(drop=True)


def _mean_of(group: pd.DataFrame) -> dict[str, object]:
    """Returns the summary of an estimator's ratios over its problems."""
    with_variance = group[~group["without_variance"].astype(bool)]
    means = with_variance if len(with_variance) else group
    found = mean_ratio(Interval.of_columns(means, "ratio"), list(means["identity"]))
    problems = group["identity"].nunique()
    return {
        "ratio": found.value,
        "ratio_low": found.measured.low,
        "ratio_high": found.measured.high,
        "problems_low": found.chosen.low,
        "problems_high": found.chosen.high,
        "best": group["ratio"].min(),
        "worst": group["ratio"].max(),
        "problems": problems,
        "without_variance": problems - found.problems,
        "biased_on": group.loc[group["verdict"] == "biased", "identity"].nunique(),
    }


def comparison_view(comparison: Comparison) -> RenderableType:
    """Returns the overall ranking, a table per problem, and the notes, for a terminal."""
    parts: list[RenderableType] = [
        _overall_view(comparison, str(kind), group) for kind, group in comparison.overall.groupby("kind", sort=False)
    ]
    problems = list(comparison.pairs["problem"].unique())
    shown = comparison.pairs[comparison.pairs["problem"].isin(problems[:MOST_PROBLEMS])]
    parts += [_problem_view(comparison, str(problem), group) for problem, group in shown.groupby("problem", sort=False)]
    if len(problems) > MOST_PROBLEMS:
        parts.append(Text(f"… and {len(problems) - MOST_PROBLEMS} more problems; --where chooses some, --json has all"))
    if not len(comparison.pairs):
        parts.append(Text(f"Nothing to compare: no other estimator shares a problem with {comparison.baseline}."))
    notes = [*comparison.notes[:MOST_PROBLEMS]]
    if len(comparison.notes) > MOST_PROBLEMS:
        notes.append(f"… and {len(comparison.notes) - MOST_PROBLEMS} more notes of this kind")
    return Group(*parts, *(Text(note, style="yellow") for note in notes))


def _overall_view(comparison: Comparison, kind: str, overall: pd.DataFrame) -> Table:
    table = Table(
        title=f"{escape(kind)}: {comparison.metric} relative to {escape(comparison.baseline)}, over problems",
        caption="Mean of log ratios over the problems that both ran on. First interval: noise of measuring; second: "
        "choice of problems (95 % each). Lower variance is better.",
    )
    ways = list(dict.fromkeys(overall["equal"]))
    for name in ("estimator", *(f"at {EQUAL_WORDS[way]}" for way in ways), "problems", "biased on"):
        table.add_column(name, justify="left" if name == "estimator" else "right")
    for estimator, group in overall.groupby("estimator", sort=False):
        rows = {row["equal"]: row for row in group.to_dict("records")}
        ratios = [_both_intervals(rows[way]) if way in rows else "—" for way in ways]
        most = max(rows.values(), key=lambda row: row["problems"])
        left_out = f", {most['without_variance']} of them 0" if most["without_variance"] else ""
        table.add_row(escape(str(estimator)), *ratios, f"{most['problems']}{left_out}", str(most["biased_on"]))
    return table


def _both_intervals(row: dict[str, Any]) -> str:
    if pd.isna(row["problems_low"]) or row["problems_low"] == row["problems_high"]:
        return interval(row)
    return f"{interval(row)} {row['problems_low']:.3g}–{row['problems_high']:.3g}"


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
    about = (f"outcome at {EQUAL_WORDS[ways[0]]}", "bias", "direction", "angle", "scale")
    for name in ("estimator", "n", *(f"at {EQUAL_WORDS[way]}" for way in ways), *about):
        table.add_column(name, justify="right" if name.startswith(("n", "at")) else "left")
    for (samples, estimator), rows in group.groupby(["samples", "estimator"], sort=False):
        by = {row["equal"]: row for row in rows.to_dict("records")}
        first = next(iter(by.values()))
        outcome = by[ways[0]]["outcome"] if ways[0] in by else "—"
        table.add_row(
            escape(str(estimator)),
            str(samples),
            *(interval(by[way]) if way in by else "—" for way in ways),
            Text(outcome, style=STYLES.get(outcome, "")),
            Text(first["verdict"], style=STYLES.get(first["verdict"], "")),
            Text(first["direction"], style=STYLES.get(first["direction"], "")),
            angle_in_words(first),
            Text(scale_words(first), style=STYLES.get(first["scale_verdict"], "")),
        )
    return table
