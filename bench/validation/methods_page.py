"""The page of methods, in docs/methods.md and in the report; `python -m bench.validation.methods_page` writes both.

Where a method was validated is read from results/coverage, so the page follows when `make coverage` measures again.
"""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from pathlib import Path

import pandas as pd
from markupsafe import Markup

from bench.validation.coverage.page import ranged
from bench.validation.methods import INTERVAL_METHODS, METHODS, TEST_METHODS, Method

ROOT = Path(__file__).parents[2]
COVERAGE = ROOT / "results" / "coverage"
DOCS, PART = ROOT / "docs" / "methods.md", ROOT / "bench" / "pages" / "templates" / "methods.html"
METHODS_INTRODUCTION = (
    "Every test and every interval (95 %) of the suite. ĝ is an estimate, R their number, m their mean, Σ their "
    "covariance, g the exact gradient, u = g/‖g‖, P the number of coordinates, κ the kurtosis; z and t are quantiles "
    "of the normal and of Student's distribution. Coverages are percentages of studies whose interval holds the true "
    "value, from the lowest to the highest row of results/coverage/coverage.csv; at a boundary the true value is the "
    "least possible one (bias 0, cosine 1)."
)
METHOD_GROUPS = {"Intervals": INTERVAL_METHODS, "Tests and verdicts": TEST_METHODS}


def validated(method: Method, coverage: pd.DataFrame, alarms: pd.DataFrame) -> list[str]:
    """Returns where a method was validated: sentences with the rows of the coverage study, then files of tests."""
    found = [_studied(name, coverage[_short(coverage) == name]) for name in method.studied]
    if method.alarms:
        found.append(_alarms(method.alarms, alarms[~alarms["noise"].str.contains("event")]))
    return [*found, *method.tests]


def _alarms(column: str, rows: pd.DataFrame) -> str:
    """One sentence about false alarms on unbiased estimates without rare events."""
    if column == "upper":
        worst = rows.loc[rows["upper"].idxmax()]
        said = f"in a sweep of 100,000 unbiased cells at most {worst['upper']:.2g} false *biased* are expected"
        return f"{said} (upper limit, {worst['noise']}; {len(rows)} rows of alarms.csv without rare events)"
    low, high = 100 * rows[column].min(), 100 * rows[column].max()
    return (
        f"at a nominal 0.1 %, {low:.2g} to {high:.2g} % of 100,000 unbiased cells are rejected ({len(rows)} rows of "
        "alarms.csv without rare events)"
    )


def _short(coverage: pd.DataFrame) -> pd.Series:
    """The metric of each row, without the settings of its study."""
    return coverage["metric"].str.partition(",")[0]


def _studied(name: str, rows: pd.DataFrame) -> str:
    """One sentence about the coverage of a metric; rows beyond the assumption of a fourth moment are named apart."""
    beyond = (rows["flagged"] > 0.5) | (rows["kurtosis"] == float("inf"))
    within, edge = rows[~beyond], rows.loc[~beyond, "boundary"].astype(bool)
    noises = ", ".join(dict.fromkeys(rows.loc[beyond, "noise"]))
    parts = [
        *ranged(within["coverage"][~edge], "{} %"),
        *ranged(within["coverage"][edge], "{} % at a boundary"),
        *ranged(rows.loc[beyond, "coverage"], f"{{}} % where flagged or without a fourth moment ({noises})"),
    ]
    kinds = len(set(rows["noise"]))
    return (
        f"`{name}`: coverage {', '.join(parts)}; {len(rows)} rows of coverage.csv, {kinds} kind"
        f"{'s' if kinds > 1 else ''} of noise"
    )


def rows_of(method: Method, coverage: pd.DataFrame, alarms: pd.DataFrame) -> list[tuple[str, str]]:
    """Returns what the page says of a method, as pairs of a heading and a text."""
    metrics = ", ".join(f"`{name}`" for name in method.metrics)
    return [
        ("For", method.use + (f" Metrics: {metrics}." if metrics else "")),
        ("Formula", method.formula),
        ("Source", method.source),
        ("Assumes", method.assumes),
        ("Validated", "; ".join(validated(method, coverage, alarms)) + "."),
        ("Code", f"`{method.code}`"),
    ]


def methods_markdown(coverage: pd.DataFrame, alarms: pd.DataFrame) -> str:
    """Returns docs/methods.md."""
    lines = ["# Methods", "", METHODS_INTRODUCTION, "", "Written by `python -m bench.validation.methods_page`.", ""]
    for title, methods in METHOD_GROUPS.items():
        lines += [f"## {title}", ""]
        for method in methods:
            lines += [f"### {method.name}", ""]
            lines += [f"- **{name}.** {_escaped(text)}" for name, text in rows_of(method, coverage, alarms)]
            lines.append("")
    return "\n".join(lines)


def _escaped(text: str) -> str:
    """Text in which Markdown takes no bar or star of a formula for a mark; code in back quotes stays."""
    parts = text.split("`")
    return "`".join(part if i % 2 else part.replace("|", "\\|").replace("_", "\\_") for i, part in enumerate(parts))


def methods_html(coverage: pd.DataFrame, alarms: pd.DataFrame) -> str:
    """Returns the part of the report: a folded list of the methods."""
    summary = f"{len(METHODS)} tests and intervals: formula, source, what is assumed, where validated"
    lines = [Markup("<details><summary>{}</summary>\n<p>{}</p>").format(summary, METHODS_INTRODUCTION)]
    for title, methods in METHOD_GROUPS.items():
        lines.append(Markup("<h3>{}</h3>").format(title))
        for method in methods:
            pairs = Markup("").join(
                Markup("<dt>{}</dt><dd>{}</dd>").format(name, _coded(text))
                for name, text in rows_of(method, coverage, alarms)
            )
            lines.append(Markup('<h4>{}</h4><dl class="method">{}</dl>').format(method.name, pairs))
    return "\n".join([*lines, "</details>", ""])


def _coded(text: str) -> Markup:
    """Text with what stands in back quotes as code, and without the stars of emphasis."""
    parts = text.replace("*", "").split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))


def measured_tables(folder: Path = COVERAGE) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reads the tables of coverages and of false alarms."""
    return pd.read_csv(folder / "coverage.csv"), pd.read_csv(folder / "alarms.csv")


if __name__ == "__main__":
    DOCS.write_text(methods_markdown(*measured_tables()), encoding="utf-8")
    PART.write_text(methods_html(*measured_tables()), encoding="utf-8")
    print(f"wrote {DOCS} and {PART}")
