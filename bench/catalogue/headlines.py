"""The committed headline numbers, a sentence per estimator, for `gradest show`; without pandas."""

import csv
from collections.abc import Iterable
from pathlib import Path

HEADLINE_FILE = Path(__file__).parents[2] / "results" / "headline" / "headline.csv"
"""The table that `python -m bench.validation.headline` writes; an installed package does not have it."""
QUANTITIES = {
    "equal samples": "times the variance of {baseline} at equal samples",
    "equal evaluations": "times it at equal evaluations",
    "angle": "degrees between its mean and the gradient",
    "scale": "times the gradient's length along it",
}
"""What a number is, in the order of a sentence."""


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
    where = "Headline numbers (ranges over problems; each with its interval in results/headline/README.md):"
    return [where, *(f"- {sentence}" for sentence in headline_summaries(mine))]


def headline_summaries(rows: Iterable[dict[str, str]]) -> list[str]:
    """Returns a sentence per estimator, baseline, objective (and point) and number of draws: ranges over problems.

    >>> row = {"estimator": "disarm", "baseline": "rloo", "quantity": "equal samples", "samples": "2"}
    >>> sizes = [{"problem": f"ising / bernoulli(size={n})", "value": value} for n, value in ((5, "0.52"), (9, "0.8"))]
    >>> headline_summaries([row | size for size in sizes])
    ['disarm on ising, n = 2: 0.52 to 0.8 times the variance of rloo at equal samples']
    """
    groups: dict[tuple[str, str, str, str], dict[str, list[float]]] = {}
    for row in rows:
        key = (row["estimator"], row["baseline"], _objective_and_point(row["problem"]), row["samples"])
        groups.setdefault(key, {}).setdefault(row["quantity"], []).append(float(row["value"]))
    return [
        f"{estimator} on {problem}, n = {samples}: {_in_words(values, baseline)}"
        for (estimator, baseline, problem, samples), values in groups.items()
    ]


def _in_words(values: dict[str, list[float]], baseline: str) -> str:
    return "; ".join(
        f"{_span(values[quantity])} {words.format(baseline=baseline)}"
        for quantity, words in QUANTITIES.items()
        if quantity in values
    )


def _objective_and_point(problem: str) -> str:
    """Returns the label of a problem without its distribution.

    >>> _objective_and_point("step(a=0.4) / bernoulli(size=5)"), _objective_and_point("f / q(size=31), start")
    ('step(a=0.4)', 'f, start')
    """
    objective, _, rest = problem.partition(" / ")
    point = rest.rpartition("), ")[2] if "), " in rest else ""
    return ", ".join(filter(None, (objective, point)))


def _span(values: list[float]) -> str:
    low, high = f"{min(values):.2g}", f"{max(values):.2g}"
    return low if low == high else f"{low} to {high}"
