"""The study's table as a page: the range of coverages of every metric, and the lines outside 93–97 %."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import pandas as pd

from bench.validation.coverage.alarms import alarms_told
from bench.validation.coverage.study import outside

HEAD = """# How often the 95 % intervals hold the truth

Written by `make coverage`; the numbers are in `coverage.csv`, a line per distribution of the estimates, number of
coordinates P, bias and metric. Each study measures synthetic estimates whose moments are known, under the sweep's own
stopping rule. A cell below is the range of coverages over P and biases, lines at a boundary (bias 0, cosine 1) in
brackets; *flagged*: of how many the interval says itself that it is approximate, or a sentence stands in its place,
told where it is more than half.
"""


def coverage_page(table: pd.DataFrame, alarms: pd.DataFrame | None = None) -> str:
    """Markdown: a row per metric, a column per distribution, then what is outside, then the false alarms."""
    noises = list(dict.fromkeys(table["noise"]))
    rows = [["metric", *noises], ["---"] * (1 + len(noises))]
    for metric in dict.fromkeys(table["metric"]):
        own = table[table["metric"] == metric]
        rows.append([f"`{metric}`", *(cell(pd.DataFrame(own[own["noise"] == noise])) for noise in noises)])
    tables = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    section = "" if alarms is None else f"\n{alarms_told(alarms)}"
    return f"{HEAD}\n{studies(table)}\n\n{tables}\n\n{told(outside(table))}\n{section}"


def cell(lines: pd.DataFrame) -> str:
    """The range of the coverages, those at a boundary in brackets, and of the flags where there are many."""
    edge = lines["boundary"].astype(bool)
    flagged = lines["flagged"][lines["flagged"] > 0.5]
    parts = [*ranged(lines["coverage"][~edge], "{}"), *ranged(lines["coverage"][edge], "({})")]
    return " ".join([*parts, *ranged(flagged, "*flagged: {}*")])


def ranged(shares: pd.Series, form: str) -> list[str]:
    """Least and largest, in per cent; nothing of nothing."""
    if shares.isna().all():
        return []
    low, high = f"{100 * shares.min():.1f}", f"{100 * shares.max():.1f}"
    return [form.format(low if low == high else f"{low}–{high}")]


def studies(table: pd.DataFrame) -> str:
    """How many studies a line has, and how exact its coverage is."""
    counts = table["studies"].astype(int)
    errors = 100 * table["standard_error"]
    return (
        f"{len(table)} lines of {counts.min()} to {counts.max()} studies each; the standard error of a line's coverage "
        f"is {errors.min():.1f} to {errors.max():.1f} %."
    )


def told(wrong: pd.DataFrame) -> str:
    """The lines outside 93–97 % by more than two standard errors, in words."""
    if wrong.empty:
        return (
            "Where the fourth moment exists, no interval is outside 93–97 % by more than two standard errors of its "
            "line, flagged or not (at a boundary: below 93 %)."
        )
    each = [
        f"- `{line['metric']}` of {line['noise']}, P = {line['dim']}, relative bias {line['relative_bias']:.2g}: "
        f"{100 * line['coverage']:.1f} ± {100 * line['standard_error']:.1f} %"
        for _, line in wrong.iterrows()
    ]
    return "\n".join(["Outside 93–97 % by more than two standard errors of their line:", "", *each])
