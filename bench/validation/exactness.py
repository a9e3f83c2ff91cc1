"""The table of verdicts of the `exactness` suite: for every estimator, the measured and the declared bias.

`python -m bench.validation.exactness` updates results/exactness/README.md from the table in that folder.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from bench.plugins.settings import plain
from bench.tables.folder import load
from estimators.core import Estimator
from estimators.registry import estimators

EXACTNESS_FOLDER = Path("results/exactness")
BOUND = 0.01
"""Upper bound of the relative bias for the verdict *unbiased*: the suite's `bias_resolution`."""
EXACTNESS_PAGE = """# Verdicts

{cells} measurements by `gradest run exactness --out results/exactness` (`make exactness`), of {estimators} estimators
at 8 draws each (64 for importance bounds at an extreme), on small problems with exact gradients whose error is at most
{error:.0e} of their norm. *unbiased*:
the relative bias was shown to be below {bound:.0%}. *biased*: the relative bias was shown to be above {bound:.0%}, and
fresh draws confirmed it. Written by `python -m bench.validation.exactness` from the table in this folder.

Problems: the number of combinations of distribution, objective and point. Extreme: the number of these with logits of
±6, scales of 0.01 to 0.05 or small concentrations. Relative bias: the largest upper 95 % limit if every verdict is
*unbiased*, else the range of the values. Scale and cosine: the ranges over the problems; without bias both are 1.

{rows}

## Verdicts that differ from the declaration

An estimator that is declared biased may have no bias on some problems (for example, on linear, quadratic or separable
functions). An estimator that is declared unbiased is never found biased, but a verdict may be unclear.

{apart}
"""


def verdict_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per measured cell: the measurement, its verdict, and the declared verdict."""
    whole = table[(table.status == "ok") & (table.block == "all")]
    wide = whole.pivot(index="cell", columns="metric", values=["value", "ci_high"])
    rows = whole.loc[whole.metric == "relative_bias"].set_index("cell")
    for name in ("scale", "cosine", "reference_error"):
        rows[name] = wide["value", name]
    return rows.assign(
        label=[label(*each) for each in zip(rows.estimator, rows.estimator_params, strict=True)],
        declared=[declared(*each) for each in zip(rows.estimator, rows.estimator_params, strict=True)],
        problem=[problem_in_words(row) for row in rows.itertuples()],
        extreme=[is_extreme(*each) for each in zip(rows.point, rows.distribution_params, strict=True)],
    ).reset_index()


def instance(name: str, params: str) -> Estimator:
    """Returns the estimator of a row; `params` are its settings as JSON."""
    return estimators.get(name, **json.loads(params))


def declared(name: str, params: str) -> str:
    """Returns "unbiased" or "biased", as declared by the traits."""
    return "unbiased" if instance(name, params).traits.unbiased else "biased"


def label(name: str, params: str) -> str:
    """Returns the name with the settings that differ from the defaults.

    >>> label("reinmax", '{"temperature":2.0}'), label("reinmax", '{"temperature":1.0}')
    ('reinmax(temperature=2.0)', 'reinmax')
    """
    default = plain(estimators.get(name))
    own = [f"{key}={value}" for key, value in json.loads(params).items() if value != default[key]]
    return f"{name}({', '.join(own)})" if own else name


def is_extreme(point: str, distribution_params: str) -> bool:
    """Returns True for an extreme problem: the point of that name, or a fixed scale of 0.01."""
    return point == "extreme" or json.loads(distribution_params).get("sigma") == 0.01


def problem_in_words(row) -> str:  # noqa: ANN001  (a row of a data frame)
    """Returns a text that identifies a problem and its point."""
    return f"{row.objective}{row.objective_params} / {row.distribution}{row.distribution_params}, {row.point}"


def verdict_summary(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per estimator and settings, sorted by family."""
    rows = [_row(str(name), own) for name, own in verdicts.groupby("label", sort=True)]
    return pd.DataFrame(rows).sort_values(["family", "estimator"], ignore_index=True)


def _row(name: str, own: pd.DataFrame) -> dict[str, str | int]:
    estimator = instance(own.estimator.iloc[0], own.estimator_params.iloc[0])
    counts = own.verdict.value_counts()
    unbiased = own[own.verdict == "unbiased"]
    return {
        "family": type(estimator).__module__.rsplit(".", 1)[-1].replace("_", " "),
        "estimator": f"`{name}`",
        "declared": own.declared.iloc[0],
        "found": ", ".join(f"{word} {counts[word]}" for word in ("unbiased", "biased", "unclear") if word in counts),
        "problems": own.problem.nunique(),
        "extreme": own[own.extreme].problem.nunique(),
        "float32": int((own.dtype == "float32").sum()),
        "relative bias": f"≤ {unbiased.ci_high.max():.1g}" if len(unbiased) == len(own) else span(own.value),
        "scale": span(own.scale),
        "cosine": span(own.cosine),
    }


def span(values: Iterable[float]) -> str:
    """Returns the range of the numbers with two decimals.

    >>> span([0.5, 0.871]), span([1.0, 1.001])
    ('0.50 – 0.87', '1.00')
    """
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} – {high}"


def undeclared_verdicts(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Returns the cells whose verdict differs from the declared verdict."""
    other = verdicts.loc[verdicts.verdict != verdicts.declared].sort_values(["declared", "label", "problem"])
    columns = ["label", "declared", "verdict", "problem", "dtype", "reason"]
    return pd.DataFrame(other[columns].rename(columns={"label": "estimator", "verdict": "found"}))


def markdown(frame: pd.DataFrame) -> str:
    """Returns a data frame as a Markdown table."""
    lines = [list(frame.columns), ["---"] * frame.shape[1], *frame.astype(str).values.tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def exactness_page(table: pd.DataFrame) -> str:
    """Returns the text of results/exactness/README.md."""
    verdicts = verdict_rows(table)
    return EXACTNESS_PAGE.format(
        cells=len(verdicts),
        bound=BOUND,
        estimators=verdicts.estimator.nunique(),
        error=verdicts.reference_error.max(),
        rows=markdown(verdict_summary(verdicts)),
        apart=markdown(undeclared_verdicts(verdicts)),
    )


if __name__ == "__main__":
    (EXACTNESS_FOLDER / "README.md").write_text(exactness_page(load(EXACTNESS_FOLDER)), encoding="utf-8")
