"""The committed headline numbers: the sentences are what the table gives, other measurements give others."""

# pyright: reportArgumentType=false, reportGeneralTypeIssues=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from pathlib import Path

import pandas as pd
import pytest

import bench
from bench.catalogue import fits, headlines
from bench.validation.headline import TOPICS, headline_csv, headline_page, headline_sentence, headline_table
from estimators.errors import BadInput

FOLDER = Path(__file__).parents[3] / "results" / "headline"


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return bench.load(FOLDER)


@pytest.fixture(scope="module")
def numbers(table: pd.DataFrame) -> pd.DataFrame:
    return headline_table(table)


def test_the_committed_sentences_are_what_the_table_gives(numbers: pd.DataFrame):
    again = "run: python -m bench.validation.headline"
    assert (FOLDER / "headline.csv").read_text(encoding="utf-8") == headline_csv(numbers), again
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == headline_page(numbers), again


def test_a_table_without_a_topic_is_one_sentence(table: pd.DataFrame):
    with pytest.raises(BadInput, match=r"no cell of “Kinks and smooth functions.*gradest run headline"):
        headline_table(table[~table["objective"].isin(["absolute", "exponential"])])


def test_every_topic_has_numbers_for_each_of_its_estimators(numbers: pd.DataFrame):
    for topic in TOPICS:
        mine = numbers[numbers["topic"] == topic.title]
        assert set(mine["name"]) == set(topic.estimators), topic.title
    bits = numbers[numbers["name"].eq("disarm") & numbers["quantity"].eq("equal samples")]
    assert set(bits["samples"]) == {2, 4, 8}
    assert all("size=50" in problem or "size=200" in problem for problem in bits["problem"])


def test_every_number_has_an_interval_that_holds_it(numbers: pd.DataFrame):
    assert numbers[["value", "low", "high"]].notna().all(axis=None)
    assert ((numbers["low"] <= numbers["value"]) & (numbers["value"] <= numbers["high"])).all()


def test_no_estimator_of_a_ratio_is_biased(numbers: pd.DataFrame):
    ratios = numbers[numbers["baseline"] != ""]
    assert set(ratios["bias"]) <= {"unbiased", "unclear", "not judged"}


def test_other_measurements_give_other_sentences(table: pd.DataFrame, numbers: pd.DataFrame):
    other = table.copy()
    rows = other["estimator"].eq("disarm") & other["metric"].isin(["variance", "variance_per_evaluation"])
    for column in ("value", "ci_low", "ci_high"):
        other.loc[rows, column] *= 2
    moved = headline_table(other)
    changed = moved["sentence"] != numbers["sentence"]
    assert set(moved.loc[changed, "name"]) == {"disarm"} and changed.sum() == (numbers["name"] == "disarm").sum()


def test_what_is_known_of_these_ratios_is_found(numbers: pd.DataFrame):
    def values(name: str, quantity: str, problem: str) -> pd.Series:
        mine = numbers["name"].eq(name) & numbers["quantity"].eq(quantity) & numbers["problem"].str.contains(problem)
        return numbers.loc[mine, "value"]

    # DisARM is never worse than leave-one-out with two draws (Dong, Mnih, Tucker 2020).
    pair = numbers[numbers["name"].eq("disarm") & numbers["samples"].eq(2) & numbers["quantity"].eq("equal samples")]
    assert (pair["low"] < 1).all()
    # A local expectation of a sum over bits has no variance (Titsias, Lázaro-Gredilla 2015).
    assert values("local_expectation", "equal samples", "quadratic_bits").max() == 0
    # Sticking the landing is better at the optimum and not at the start (Roeder, Wu, Duvenaud 2017).
    assert values("sticking_the_landing", "equal samples", "trained").max() < 1
    # Doubly reparameterised gradients gain more, the more draws (Tucker et al. 2019).
    gains = [values("doubly_reparameterised", "equal samples", f"draws={k}, target=-0.3").iloc[0] for k in (2, 8, 32)]
    assert gains[0] > gains[1] > gains[2]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "disarm has 0.5 (0.4 to 0.6) times the variance of rloo at equal samples, on p, n = 2."),
        ({"low": 0.4, "high": 1.1},
         "disarm has 0.5 (0.4 to 1.1) times the variance of rloo at equal samples, not shown to differ from 1, on p, "
         "n = 2."),
        ({"value": 0.0, "low": 0.0, "high": 0.0}, "disarm has no variance on p, n = 2."),
        ({"bias": "biased"},
         "disarm has 0.5 (0.4 to 0.6) times the variance of rloo at equal samples, on p, n = 2, and it is biased."),
        ({"quantity": "angle", "bias": "turned"},
         "The mean of disarm is turned from the gradient, by 0.5 (0.4 to 0.6) degrees, on p, n = 2."),
        ({"quantity": "scale", "bias": "shrunk"},
         "The mean of disarm has 0.5 (0.4 to 0.6) times the gradient's length along it (shrunk), on p, n = 2."),
    ],
)  # fmt: skip
def test_sentences(changes: dict, sentence: str):
    row = {"estimator": "disarm", "baseline": "rloo", "problem": "p", "samples": 2, "quantity": "equal samples"}
    assert headline_sentence(row | {"value": 0.5, "low": 0.4, "high": 0.6, "bias": "unbiased"} | changes) == sentence


def test_show_links_to_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(fits, "runs_with", lambda _: None)  # what an estimator runs with takes seconds
    monkeypatch.setattr(fits, "fits_in_words", lambda _: "")
    text = bench.describe("disarm")
    assert "results/headline/README.md" in text and "times the variance of rloo at equal samples" in text
    assert "Headline" not in bench.describe("carms")
    monkeypatch.setattr(headlines, "HEADLINE_FILE", tmp_path / "none.csv")  # an installed package has no results
    assert "Headline" not in bench.describe("disarm")
