"""The committed headline numbers, a sentence per estimator, for `gradest show`; without pandas."""

import csv
from collections.abc import Iterable
from pathlib import Path

HEADLINE_FILE = Path(__file__).parents[2] / "results" / "headline" / "headline.csv"
"""The table that `python -m bench.validation.headline` writes; an installed package does not have it."""
QUANTITIES = {
    "equal samples": "the variance of {baseline} at equal samples",
    "equal evaluations": "the variance of {baseline} at equal evaluations",
    "angle": "degrees between its mean and the gradient",
    "scale": "the gradient's length along the gradient",
}
"""What a number is, as the end of a sentence."""


def headline_rows() -> list[dict[str, str]]:
    """Returns the rows of the committed table; none where there is no such file."""
    if not HEADLINE_FILE.is_file():
        return []
    with HEADLINE_FILE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def headlines_of(estimator: str) -> list[str]:
    """Returns lines about an estimator's headline numbers for `gradest show`; none where there are none."""
    mine = [row for row in headline_rows() if row["name"] == estimator]
    if not mine:
        return []
    where = "Headline numbers (results/headline/README.md; gradest run headline measures them again):"
    return [where, *(f"- {sentence}" for sentence in headline_summaries(mine))]


def headline_summaries(rows: Iterable[dict[str, str]]) -> list[str]:
    """Returns a sentence per estimator, baseline and quantity: the range of the values over problems and samples.

    >>> row = {"estimator": "disarm", "baseline": "rloo", "quantity": "equal samples", "low": "0.5", "high": "0.6"}
    >>> headline_summaries([row | {"value": "0.52"}, row | {"value": "0.8", "problem": "other"}])
    ['disarm: 0.52 to 0.8 times the variance of rloo at equal samples, in 2 cells']
    """
    groups: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        groups.setdefault((row["estimator"], row["baseline"], row["quantity"]), []).append(float(row["value"]))
    return [_summary(*key, values) for key, values in groups.items()]


def _summary(estimator: str, baseline: str, quantity: str, values: list[float]) -> str:
    low, high = f"{min(values):.2g}", f"{max(values):.2g}"
    span = low if low == high else f"{low} to {high}"
    times = "" if quantity == "angle" else "times "
    cells = "1 cell" if len(values) == 1 else f"{len(values)} cells"
    return f"{estimator}: {span} {times}{QUANTITIES[quantity].format(baseline=baseline)}, in {cells}"
