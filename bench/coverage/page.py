"""The study's table as a page: the range of coverages of every metric, and the lines outside 93–97 %."""

# pandas ships no types: a checker takes every selection for `Series | DataFrame`.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false

import pandas as pd

from bench.coverage.study import outside

HEAD = """# How often the 95 % intervals hold the truth

Written by `make coverage`; the numbers are in `coverage.csv`, a line per distribution of the estimates, number of
coordinates P, bias and metric. Each study measures synthetic estimates whose moments are known, under the sweep's own
stopping rule. A cell below is the range of coverages over P and biases, lines at a boundary (bias 0, cosine 1) in
brackets; *flagged*: most intervals say themselves that they are approximate, or a sentence stands in their place.
"""


def page(table: pd.DataFrame) -> str:
    """Markdown: a row per metric, a column per distribution, then what is outside."""
    noises = list(dict.fromkeys(table["noise"]))
    rows = [["metric", *noises], ["---"] * (1 + len(noises))]
    for metric in dict.fromkeys(table["metric"]):
        own = table[table["metric"] == metric]
        rows.append([f"`{metric}`", *(cell(pd.DataFrame(own[own["noise"] == noise])) for noise in noises)])
    tables = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{HEAD}\n{studies(table)}\n\n{tables}\n\n{told(outside(table))}\n"


def cell(lines: pd.DataFrame) -> str:
    """The range of the coverages, those at a boundary in brackets."""
    if lines.empty:
        return ""
    if (lines["flagged"] > 0.5).all():
        return "flagged"
    inside, edge = lines[~lines["boundary"].astype(bool)], lines[lines["boundary"].astype(bool)]
    return " ".join([*ranged(inside, "{}"), *ranged(edge, "({})")])


def ranged(lines: pd.DataFrame, form: str) -> list[str]:
    """Least and largest, in per cent; nothing of nothing."""
    if lines.empty or lines["coverage"].isna().all():
        return []
    low, high = 100 * lines["coverage"].min(), 100 * lines["coverage"].max()
    return [form.format(f"{low:.1f}–{high:.1f}" if low < high else f"{low:.1f}")]


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
        return "No interval that is not flagged is outside 93–97 % by more than two standard errors of its line."
    each = [
        f"- `{line['metric']}` of {line['noise']}, P = {line['dim']}, relative bias {line['relative_bias']:.2g}: "
        f"{100 * line['coverage']:.1f} ± {100 * line['standard_error']:.1f} %"
        for _, line in wrong.iterrows()
    ]
    return "\n".join(["Outside 93–97 % by more than two standard errors of their line:", "", *each])
