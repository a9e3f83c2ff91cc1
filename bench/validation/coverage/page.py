"""The page of the coverage study: the range of coverages of every metric, and the rows outside 93–97 %."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import pandas as pd

from bench.validation.coverage.alarms import alarms_told
from bench.validation.coverage.study import outside

HEAD = """# Coverage of the 95 % intervals

Written by `make coverage`. The numbers are in `coverage.csv`, a row per distribution of the estimates, number of
coordinates P, bias and metric. Each study measures synthetic estimates with known moments, under the sweep's own
stopping rule. An entry below is the range of coverages over P and biases; values at a boundary (bias 0, cosine 1) are
in brackets. *flagged*: the percentage of intervals that are marked approximate or replaced by a sentence, if it is more
than half.
"""


def coverage_page(table: pd.DataFrame, alarms: pd.DataFrame | None = None) -> str:
    """Returns the page as Markdown.

    Args:
        table: The coverage table.
        alarms: The table of false alarms. None: no section about them.
    """
    noises = list(dict.fromkeys(table["noise"]))
    rows = [["metric", *noises], ["---"] * (1 + len(noises))]
    for metric in dict.fromkeys(table["metric"]):
        own = table[table["metric"] == metric]
        rows.append([f"`{metric}`", *(cell(pd.DataFrame(own[own["noise"] == noise])) for noise in noises)])
    tables = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    section = "" if alarms is None else f"\n{alarms_told(alarms)}"
    return f"{HEAD}\n{studies(table)}\n\n{tables}\n\n{told(outside(table))}\n{section}"


def cell(lines: pd.DataFrame) -> str:
    """Returns the range of the coverages, those at a boundary in brackets, and of the flags above one half."""
    edge = lines["boundary"].astype(bool)
    flagged = lines["flagged"][lines["flagged"] > 0.5]
    parts = [*ranged(lines["coverage"][~edge], "{}"), *ranged(lines["coverage"][edge], "({})")]
    return " ".join([*parts, *ranged(flagged, "*flagged: {}*")])


def ranged(shares: pd.Series, form: str) -> list[str]:
    """Returns the range in per cent, put into `form`; an empty list if there are no shares."""
    if shares.isna().all():
        return []
    low, high = f"{100 * shares.min():.1f}", f"{100 * shares.max():.1f}"
    return [form.format(low if low == high else f"{low}–{high}")]


def studies(table: pd.DataFrame) -> str:
    """Returns the sentence with the studies per row and the standard error of the coverage."""
    counts = table["studies"].astype(int)
    errors = 100 * table["standard_error"]
    return (
        f"{len(table)} rows of {counts.min()} to {counts.max()} studies each; the standard error of a row's coverage "
        f"is {errors.min():.1f} to {errors.max():.1f} %."
    )


def told(wrong: pd.DataFrame) -> str:
    """Returns the rows outside 93–97 % by more than two standard errors, in words."""
    if wrong.empty:
        return (
            "Among distributions with a fourth moment, no coverage is outside 93–97 % by more than two standard errors "
            "of its row, flagged or not (at a boundary: below 93 %)."
        )
    each = [
        f"- `{line['metric']}` of {line['noise']}, P = {line['dim']}, relative bias {line['relative_bias']:.2g}: "
        f"{100 * line['coverage']:.1f} ± {100 * line['standard_error']:.1f} %"
        for _, line in wrong.iterrows()
    ]
    return "\n".join(["Outside 93–97 % by more than two standard errors of the row:", "", *each])
