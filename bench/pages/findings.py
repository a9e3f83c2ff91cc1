"""The findings of a table, as sentences with numbers computed from it."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import numpy as np
import pandas as pd

from bench.analysis.bias_order import biased_by_harm
from bench.analysis.comparison import EQUAL_WORDS
from bench.plots.style import bound_text, plain_number


def what_was_run(rows: pd.DataFrame) -> str:
    """Returns a sentence with the table's estimators, problems, samples and devices."""
    samples = sorted({int(n) for n in rows["samples"].dropna()})
    numbers = f"n = {_listed([str(n) for n in samples])}"
    device = _listed(sorted({f"{row.device}, {row.dtype}" for row in rows[["device", "dtype"]].itertuples()}))
    return (
        f"{_count(rows['estimator'].nunique(), 'estimator')} on {_count(rows['problem'].nunique(), 'problem')}, "
        f"{numbers} samples per estimate, on {device}: {_count(len(rows), 'cell')}."
    )


def statuses(rows: pd.DataFrame) -> dict[str, int]:
    """Returns the number of cells by status."""
    return {str(status): int(count) for status, count in rows["status"].value_counts().items()}


def findings(rows: pd.DataFrame) -> list[str]:
    """Returns at most three sentences.

    They name the problem where the choice matters most, the biased estimators, and the number of unclear verdicts.
    """
    each = (_widest(rows), _biased(rows), _unclear(rows))
    return [sentence for sentence in each if sentence] or ["Nothing was measured that could be compared."]


def _widest(rows: pd.DataFrame) -> str | None:
    """Names the problem where estimators not shown biased differ most, at equal time or else at equal samples."""
    for metric, equal in (("work_normalised_variance", "seconds"), ("variance", "samples")):
        honest = rows[(rows[metric] > 0) & (rows["verdict"] != "biased")]
        groups = {key: group for key, group in honest.groupby(["problem", "samples"]) if len(group) > 1}
        if not groups:
            continue
        spread = {key: group[metric].max() / group[metric].min() for key, group in groups.items()}
        problem, samples = max(spread, key=lambda key: spread[key])
        group = groups[problem, samples]
        best, worst = (group.loc[pick, "estimator"] for pick in (group[metric].idxmin(), group[metric].idxmax()))
        return (
            f"The choice matters most on {problem} (n = {samples}): at {EQUAL_WORDS[equal]}, {worst} has "
            f"{plain_number(spread[problem, samples])} times the variance of {best}."
        )
    return None


def _biased(rows: pd.DataFrame) -> str | None:
    """Names the estimators shown biased, and the most harmful bias, by direction first."""
    judged = rows[rows["verdict"] != ""]
    biased = judged[judged["verdict"] == "biased"]
    if biased.empty:
        return (
            f"No estimator is shown biased in {_count(len(judged), 'cell')} with an exact gradient."
            if len(judged)
            else None
        )
    names = list(dict.fromkeys(biased["estimator"]))
    worst = biased_by_harm(biased).iloc[0]
    return (
        f"{len(names)} of {_count(judged['estimator'].nunique(), 'estimator')} {'is' if len(names) == 1 else 'are'} "
        f"shown biased somewhere: {_listed(names)}. "
        f"The most harmful is {worst['estimator']} on {worst['problem']}, n = {worst['samples']}: {_parts(worst)}."
    )


def _parts(row: pd.Series) -> str:
    """Returns the direction, the scale and the relative bias of a cell, with intervals."""
    turned = {"aligned": "aligned with the gradient", "unclear": "perhaps turned", "": "turned"}
    angle = _with_interval(row, "angle", "°")
    words = [
        f"its mean is {turned.get(row['direction'], row['direction'])}, by {angle}" if angle else "",
        f"its length along the gradient is {_with_interval(row, 'scale')} of it",
        f"the relative bias is {_with_interval(row, 'relative_bias')}",
    ]
    return "; ".join(word for word in words if word)


def _with_interval(row: pd.Series, metric: str, unit: str = "") -> str:
    """Returns a metric with its 95 % interval; empty where it was not measured."""
    value, low, high = (row[f"{metric}{end}"] for end in ("", "_low", "_high"))
    if pd.isna(value):
        return ""
    return f"{plain_number(value)}{unit}" + (
        f" ({plain_number(low)} to {plain_number(high)})" if np.isfinite([low, high]).all() else ""
    )


def _unclear(rows: pd.DataFrame) -> str | None:
    """Counts the unclear verdicts, with the bounds reached: not shown biased is not the same as shown unbiased."""
    judged = rows[rows["verdict"] != ""]
    unclear = judged[judged["verdict"] == "unclear"]
    if unclear.empty:
        return None
    bounds = unclear["relative_bias_high"].astype(float)
    bounds = bounds[np.isfinite(bounds)]
    those = "them" if len(bounds) == len(unclear) else f"the {len(bounds)} with a bound"
    reached = (
        f" The relative bias is at most {bound_text(bounds.median())} in half of {those}, and at most "
        f"{bound_text(bounds.max())} in all."
        if len(bounds)
        else ""
    )
    return (
        f"In {len(unclear)} of {_count(len(judged), 'cell')} the bias is unclear: neither shown, nor shown to be below "
        f"the requested resolution.{reached}"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _listed(words: list[str], most: int = 8) -> str:
    """Returns `a, b and c`; after `most` words, the number of further words."""
    if len(words) > most:
        return f"{', '.join(words[:most])} and {len(words) - most} more"
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else "none"
