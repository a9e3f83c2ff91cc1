"""The table of verdicts: what the `exactness` suite found of every estimator, beside what its traits declare.

`python -m bench.validation.exactness` writes results/exactness/README.md anew from the table in that folder.
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
"""The relative bias that *unbiased* is shown to be below: the suite's `bias_resolution`."""
EXACTNESS_PAGE = """# Verdicts

{cells} measurements by `gradest run exactness --out results/exactness` (`make exactness`), of {estimators} estimators
at 8 draws each (64 for importance bounds at an extreme), on small problems with exact gradients whose error is at most
{error:.0e} of their norm. *unbiased*:
the relative bias was shown to be below {bound:.0%}. *biased*: it was shown to be above {bound:.0%}, and shown again by
fresh draws. Written by `python -m bench.validation.exactness` from the table beside it.

Problems: how many differ in distribution, objective or point; extreme: those with logits of ±6, scales of .01 to .05,
small concentrations; the bias is the largest upper 95 % limit where the verdict is *unbiased*,
else the range of the values; scale and cosine are the ranges over the problems, 1 is right.

{rows}

## Where the verdict is not what is declared

An estimator that is declared biased may have no bias on some problems (on linear or quadratic or separable functions,
say); one that is declared unbiased is never found biased, but may be left unclear.

{apart}
"""


def verdict_rows(table: pd.DataFrame) -> pd.DataFrame:
    """One row per measured cell: what was measured, its verdict, and the declared one."""
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
    """The estimator of a row."""
    return estimators.get(name, **json.loads(params))


def declared(name: str, params: str) -> str:
    """What the traits say."""
    return "unbiased" if instance(name, params).traits.unbiased else "biased"


def label(name: str, params: str) -> str:
    """The name, with those settings that are not the defaults.

    >>> label("reinmax", '{"temperature":2.0}'), label("reinmax", '{"temperature":1.0}')
    ('reinmax(temperature=2.0)', 'reinmax')
    """
    default = plain(estimators.get(name))
    own = [f"{key}={value}" for key, value in json.loads(params).items() if value != default[key]]
    return f"{name}({', '.join(own)})" if own else name


def is_extreme(point: str, distribution_params: str) -> bool:
    """Whether a problem is at an extreme: a point of that name, or a fixed scale of .01."""
    return point == "extreme" or json.loads(distribution_params).get("sigma") == 0.01


def problem_in_words(row) -> str:  # noqa: ANN001  (a row of a data frame)
    """A problem and its point in words."""
    return f"{row.objective}{row.objective_params} / {row.distribution}{row.distribution_params}, {row.point}"


def verdict_summary(verdicts: pd.DataFrame) -> pd.DataFrame:
    """One row per estimator and settings, sorted by family."""
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
    """The range of some numbers, in two decimals.

    >>> span([0.5, 0.871]), span([1.0, 1.001])
    ('.50 – .87', '1.00')
    """
    low, high = (
        f"{each:.2f}".replace("0.", ".", 1) if abs(each) < 1 else f"{each:.2f}" for each in (min(values), max(values))
    )
    return low if low == high else f"{low} – {high}"


def undeclared_verdicts(verdicts: pd.DataFrame) -> pd.DataFrame:
    """The cells whose verdict is another than the declared one."""
    other = verdicts.loc[verdicts.verdict != verdicts.declared].sort_values(["declared", "label", "problem"])
    columns = ["label", "declared", "verdict", "problem", "dtype", "reason"]
    return pd.DataFrame(other[columns].rename(columns={"label": "estimator", "verdict": "found"}))


def markdown(frame: pd.DataFrame) -> str:
    """A data frame as a table of Markdown."""
    lines = [list(frame.columns), ["---"] * frame.shape[1], *frame.astype(str).values.tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def exactness_page(table: pd.DataFrame) -> str:
    """The README of results/exactness."""
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
