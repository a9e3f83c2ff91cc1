"""The headline numbers: ratios that people cite, each with its interval, its problem and a sentence.

`gradest run headline --out results/headline` measures them; `python -m bench.validation.headline` writes
results/headline/headline.csv and README.md from the table in that folder.
"""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import io
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.analysis.comparison import compare_estimators
from bench.catalogue.headlines import headline_summaries
from bench.tables.folder import load
from bench.tables.wide import wide_table
from bench.validation.exactness import markdown
from estimators.errors import BadInput

HEADLINE_FOLDER = Path("results/headline")
COMMAND = "gradest run headline --out results/headline"
HEADLINE_COLUMNS = ["topic", "name", "estimator", "baseline", "problem", "samples", "quantity", "value", "low", "high",
                    "bias", "sentence"]  # fmt: skip


@dataclass(frozen=True)
class HeadlineTopic:
    """A section of the page: estimators whose variance is divided by a baseline's; without a baseline, their bias.

    `objectives`: the problems, by the name of the objective. Default: all that both ran on.
    """

    title: str
    text: str
    estimators: tuple[str, ...]
    baseline: str | None = None
    objectives: tuple[str, ...] = ()


ON_BITS = ("squared_sum", "quadratic_bits")
TOPICS = (
    HeadlineTopic(
        "Leave-one-out against REINFORCE",
        "The mean of the other draws as a baseline (LOORF, Kool et al. 2019), on 50 and 200 bits.",
        ("rloo",), "reinforce", ON_BITS,
    ),
    HeadlineTopic(
        "Bits: against leave-one-out",
        "Coupled draws (ARM, DisARM, ARMS), control variates by relaxation (REBAR, RELAX) and local expectations, on "
        "50 and 200 bits. A local expectation evaluates f once more per bit and draw: see equal evaluations.",
        ("arm", "disarm", "arms", "rebar", "relax", "local_expectation"), "rloo", ON_BITS,
    ),
    HeadlineTopic(
        "Bounds of K draws on bits: against the score function",
        "VIMCO and multi-sample DisARM on an importance-weighted bound of K = `draws`.",
        ("vimco", "multi_sample_disarm"), "importance_reinforce", ("importance_bound",),
    ),
    HeadlineTopic(
        "Bounds of K draws on Normals: doubly reparameterised against reparameterised",
        "DReG on an importance-weighted bound of K = `draws` (Tucker et al. 2019), where the posterior is near q "
        "(target -0.3) and where it is 2.7 standard deviations away (1.3), so that few draws carry the bound. The "
        "exact gradient is known for K = 2 alone.",
        ("doubly_reparameterised",), "importance_pathwise", ("importance_bound",),
    ),
    HeadlineTopic(
        "Logistic regression: paths against scores",
        "The bound of Bayesian logistic regression on breast_cancer, 31 Normals, before and after training.",
        ("reparameterisation",), "rloo", ("logistic_regression",),
    ),
    HeadlineTopic(
        "Logistic regression: sticking the landing",
        "Without the score term of the path (Roeder, Wu, Duvenaud 2017): better near the optimum, not far from it.",
        ("sticking_the_landing",), "reparameterisation", ("logistic_regression",),
    ),
    HeadlineTopic(
        "Kinks and smooth functions: measure-valued gradients against paths",
        "Σ |z − 0.4| has a kink in each coordinate, `exponential` none.",
        ("measure_valued",), "reparameterisation", ("absolute", "exponential"),
    ),
    HeadlineTopic(
        "The bias of straight-through estimators and relaxations",
        "The angle between the mean of the estimates and the gradient, and the length of the mean along it. An "
        "optimiser cancels the length and follows the direction.",
        ("straight_through", "straight_through_gumbel", "gumbel_softmax", "gumbel_rao", "reinmax"),
    ),
)  # fmt: skip

HEADLINE_PAGE = """# Headline numbers

Ratios that people cite, measured. Every number stands with its 95 % interval, its problem and its number of draws n;
the same numbers with a sentence each are in [headline.csv](headline.csv), and all that was measured in
`results.parquet`. A ratio belongs to its problem: the ranges over problems below are ranges, not intervals.

One command makes them: `{command}`, then `python -m bench.validation.headline` writes this page
(`make headline` does both).
{sections}
"""


def headline_table(table: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per topic, cell and quantity, each with its sentence, from the table of suite `headline`.

    Raises BadInput if a topic has no measured cell.
    """
    rows = wide_table(table)
    for topic in TOPICS:
        mine = rows["name"].isin(topic.estimators) & (rows["status"] == "ok")
        if not (mine & (rows["objective"].isin(topic.objectives) | (not topic.objectives))).any():
            raise BadInput(f"no cell of “{topic.title}” was measured: `{COMMAND}` measures all")
    parts = [_ratios(rows, topic) if topic.baseline else _biases(rows, topic) for topic in TOPICS]
    found = pd.concat(parts, ignore_index=True)
    return found.assign(sentence=[headline_sentence(row) for row in found.to_dict("records")])[HEADLINE_COLUMNS]


def _ratios(rows: pd.DataFrame, topic: HeadlineTopic) -> pd.DataFrame:
    """Returns the ratios of variances to the topic's baseline, at equal samples and at equal evaluations."""
    mine = rows[rows["name"].isin([*topic.estimators, topic.baseline]) & rows["objective"].isin(topic.objectives)]
    pairs = compare_estimators(mine, baseline=topic.baseline).pairs
    names = mine.drop_duplicates("estimator").set_index("estimator")["name"]
    pairs = pairs[pairs["equal"].isin(["samples", "evaluations"]) & (pairs["baseline"] == topic.baseline)]
    return pd.DataFrame(
        {
            "topic": topic.title,
            "name": pairs["estimator"].map(names),
            "estimator": pairs["estimator"],
            "baseline": topic.baseline,
            "problem": pairs["problem"],
            "samples": pairs["samples"],
            "quantity": "equal " + pairs["equal"],
            **{to: pairs[of] for to, of in (("value", "ratio"), ("low", "ratio_low"), ("high", "ratio_high"))},
            "bias": pairs["verdict"].replace("", "not judged"),
        }
    )


def _biases(rows: pd.DataFrame, topic: HeadlineTopic) -> pd.DataFrame:
    """Returns the angle and the scale of the topic's estimators, each with its verdict."""
    mine = rows[rows["name"].isin(topic.estimators) & rows["angle"].notna()]
    about = {"topic": topic.title, "baseline": ""}
    frames = [
        mine[["name", "estimator", "problem", "samples"]].assign(
            quantity=metric, bias=mine[verdict], **about,
            **{to: mine[f"{metric}{end}"] for to, end in (("value", ""), ("low", "_low"), ("high", "_high"))},
        )
        for metric, verdict in (("angle", "direction"), ("scale", "scale_verdict"))
    ]  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def headline_sentence(row: dict) -> str:
    """Returns a row's number as a sentence.

    >>> row = {"estimator": "disarm", "baseline": "rloo", "problem": "p", "samples": 2, "quantity": "equal samples",
    ...     "value": 0.5, "low": 0.48, "high": 0.52, "bias": "unbiased"}
    >>> headline_sentence(row)
    'disarm has 0.5 (0.48 to 0.52) times the variance of rloo at equal samples, on p, n = 2.'
    """
    where = f"on {row['problem']}, n = {row['samples']}"
    number = value_with_ends(row)
    if row["quantity"] == "angle":
        word = {"aligned": "aligned with", "reversed": "turned against"}.get(row["bias"], f"{row['bias']} from")
        return f"The mean of {row['estimator']} is {word} the gradient, by {number} degrees, {where}."
    if row["quantity"] == "scale":
        word = "" if row["bias"] in ("", "unclear") else f" ({row['bias']})"
        return f"The mean of {row['estimator']} has {number} times the gradient's length along it{word}, {where}."
    biased = "" if row["bias"] != "biased" else ", and it is biased"
    of = f"the variance of {row['baseline']} at {row['quantity']}"
    if row["value"] == 0:
        return f"{row['estimator']} has no variance {where}{biased}."
    open_ = ", not shown to differ from 1" if row["low"] <= 1 <= row["high"] else ""
    return f"{row['estimator']} has {number} times {of}{open_}, {where}{biased}."


def value_with_ends(row: dict) -> str:
    """Returns a row's value and interval with three significant digits.

    >>> value_with_ends({"value": 0.51234, "low": 0.4, "high": 12345.0})
    '0.512 (0.4 to 1.23e+04)'
    """
    value, low, high = (f"{row[name]:.3g}" for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def headline_page(found: pd.DataFrame) -> str:
    """Returns the text of results/headline/README.md, from `headline_table`."""
    sections = [_section(topic, found[found["topic"] == topic.title]) for topic in TOPICS]
    return HEADLINE_PAGE.format(command=COMMAND, sections="\n".join(sections))


def _section(topic: HeadlineTopic, rows: pd.DataFrame) -> str:
    summaries = "\n".join(f"- {sentence}" for sentence in headline_summaries(rows.astype(str).to_dict("records")))
    return f"\n## {topic.title}\n\n{topic.text}\n\n{summaries}\n\n{markdown(_side_by_side(rows))}"


def _side_by_side(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns a row per cell, with a column per quantity and per verdict on it."""
    lines: dict[tuple, dict[str, object]] = {}
    for row in rows.to_dict("records"):
        cell = {"estimator": f"`{row['estimator']}`", "problem": row["problem"], "n": row["samples"]}
        line = lines.setdefault(tuple(cell.values()), cell)
        line[row["quantity"]] = value_with_ends(row)
        line["bias" if row["baseline"] else f"verdict on the {row['quantity']}"] = row["bias"]
    return pd.DataFrame(list(lines.values())).fillna("")


def headline_csv(found: pd.DataFrame) -> str:
    """Returns the text of results/headline/headline.csv: six significant digits."""
    text = io.StringIO()
    found.to_csv(text, index=False, float_format="%.6g")
    return text.getvalue()


def main() -> None:
    """Writes results/headline/headline.csv and README.md."""
    found_numbers = headline_table(load(HEADLINE_FOLDER))
    (HEADLINE_FOLDER / "headline.csv").write_text(headline_csv(found_numbers), encoding="utf-8")
    (HEADLINE_FOLDER / "README.md").write_text(headline_page(found_numbers), encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
