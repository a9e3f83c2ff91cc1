"""What the page says of a selection is what Python says of the same cells: ranking, boxes and findings."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.analysis.ranking import rankings
from bench.analysis.winners import kind_winners, winners_by_size
from bench.pages.answers import answers
from bench.pages.findings import findings
from bench.pages.report import report_environment, report_page
from bench.tables.sizes import problem_sizes
from tests.bench.analysis.test_ranking import with_gaps
from tests.web.conftest import Visit

Open = Callable[..., Visit]
Chosen = dict[str, str | float]
FIELDS = ("kind", "distribution", "objective", "size", "samples")
NUMBER = re.compile(r"10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+|\d+(?:\.\d+)?(?:×10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?")
LAST_DIGIT, LAST_OF_TWO = 1.1e-2, 0.11
"""The page has four digits of each number, and shows three, of a bound two: the last may differ by 1."""

TEXTS = """(node) => [...node.querySelectorAll(".answer")].map((box) => [
  ...box.querySelectorAll("h3, summary, p, th, td:not(:has(*)), b, small")
].map((each) => each.textContent.replace(/\\s+/g, " ").trim()))"""
SAID = f"""([chosen, html]) => {{
  selection.chosen = chosen;
  selected();
  const expected = new DOMParser().parseFromString(html, "text/html"), texts = {TEXTS};
  return {{ shown: texts(document), expected: texts(expected), lines: ranked(),
    findings: [...document.querySelectorAll("#findings li")].map((each) => each.textContent) }};
}}"""


def selections(rows: pd.DataFrame) -> list[Chosen]:
    """Every value of every filter, and every two values of two filters that leave cells."""
    return [
        dict(zip(names, values, strict=True))
        for count in (1, 2)
        for names in combinations(FIELDS, count)
        for values in rows[[*names]].dropna().drop_duplicates().itertuples(index=False, name=None)
    ]


def part(rows: pd.DataFrame, chosen: Chosen) -> pd.DataFrame:
    """The selected cells."""
    keep = np.ones(len(rows), bool)
    for name, value in chosen.items():
        keep &= (rows[name] == value).to_numpy(bool)
    return rows[keep]


def boxes(rows: pd.DataFrame, own: pd.DataFrame) -> str:
    """The boxes of a part of the table, by the template."""
    found = answers(kind_winners(own, judged=rows), winners_by_size(own, judged=rows))
    ways = {"samples": "equal samples", "evaluations": "equal evaluations", "seconds": "equal time"}
    return report_environment().get_template("answers.html.j2").render(answers=found, ways=ways)


def split(text: str) -> tuple[str, list[float]]:
    """The words of a text, and its numbers, such as 3.4×10⁻⁴."""
    words, numbers = NUMBER.sub("#", text), []
    for each in NUMBER.findall(text):
        mantissa, _, exponent = re.sub("(?:×|^)10(?=[⁻⁰¹²³⁴⁵⁶⁷⁸⁹])", "e", each).partition("e")
        power = int(exponent.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")) or 0)
        numbers.append(float(mantissa or 1) * 10.0**power)
    return words, numbers


def alike(shown: str, expected: str) -> bool:
    """Whether two texts have the same words, and the same numbers but for the last digit shown."""
    (words, numbers), (same, others) = split(shown), split(expected)
    return words == same and numbers == pytest.approx(others, rel=LAST_OF_TWO if "at most" in words else LAST_DIGIT)


def check(found: Visit, rows: pd.DataFrame, chosen: Chosen) -> None:
    """Compares all that the page says of a selection."""
    own = part(rows, chosen)
    asked = {name: value if isinstance(value, str) else f"{value:g}" for name, value in chosen.items()}
    said = found.page.evaluate(SAID, [asked, boxes(rows, own)])
    assert len(said["shown"]) == len(said["expected"]), chosen
    for shown, expected in zip(said["shown"], said["expected"], strict=True):
        assert len(shown) == len(expected), (chosen, shown, expected)
        assert not [pair for pair in zip(shown, expected, strict=True) if not alike(*pair)], chosen
    assert len(said["findings"]) == len(findings(own)), chosen
    for pair in zip(said["findings"], findings(own), strict=True):
        assert alike(*pair), (chosen, pair)
    same_ranking(said["lines"], own)


def same_ranking(shown: list[dict], rows: pd.DataFrame) -> None:
    """Compares the rows of the page's rankings with those of Python."""
    keys = ["kind", "equal", "estimator"]
    expected = rankings(rows).rows.set_index(keys)
    lines = pd.DataFrame(shown, columns=[*keys, *expected.columns]).set_index(keys)
    assert set(lines.index) == set(expected.index)
    for column in expected.columns:
        numbers, same = lines[column].to_numpy(), expected[column].reindex(lines.index).to_numpy()
        rel = 2e-2 if column.startswith("problems_") else 4e-3  # 12.7 times a logarithm's rounding, of two problems
        if column in ("baseline", "apart"):
            assert list(numbers) == list(same), column
        else:
            assert numbers.astype(float) == pytest.approx(same.astype(float), rel=rel, nan_ok=True), column


@pytest.fixture
def reference(quick: tuple[pd.DataFrame, Path]) -> tuple[pd.DataFrame, Path]:
    """The committed table of the quick sweep with the sizes of its problems, and its page."""
    rows, path = quick
    return rows.assign(size=problem_sizes(rows)), path


def test_the_boxes_of_the_whole_page_can_be_made_again(visit: Open, reference: tuple[pd.DataFrame, Path]):
    rows, path = reference
    found = visit(page=path)
    found.page.evaluate("document.querySelector('.answers').replaceChildren(...boxes(data.rows))")
    shown, expected = found.page.evaluate(
        f"(html) => [document, new DOMParser().parseFromString(html, 'text/html')].map({TEXTS})", boxes(rows, rows)
    )
    assert len(shown) == rows["kind"].nunique() and [len(each) for each in shown] == [len(each) for each in expected]
    for one, other in zip(shown, expected, strict=True):
        assert not [pair for pair in zip(one, other, strict=True) if not alike(*pair)]


def test_the_rankings_of_the_whole_page_can_be_made_again(visit: Open, reference: tuple[pd.DataFrame, Path]):
    """Among the bits are problems with one number of samples and with two, which weigh alike."""
    rows, path = reference
    lines = visit(page=path).page.evaluate("rankings(data.rows).flatMap((ranking) => ranking.lines())")
    bits = rows[(rows["kind"] == "bits") & rows["variance"].notna()]
    assert set(bits.groupby("problem")["samples"].nunique()) == {1, 2}
    same_ranking(lines, rows)


def test_what_is_said_of_a_selection_is_what_python_says(visit: Open, reference: tuple[pd.DataFrame, Path]):
    rows, path = reference
    found, every = visit(page=path), selections(rows)
    assert len(every) > 60
    for i in np.random.default_rng(0).choice(len(every), 5, replace=False):
        check(found, rows, every[i])


@pytest.mark.slow
def test_what_is_said_of_every_selection_is_what_python_says(visit: Open, reference: tuple[pd.DataFrame, Path]):
    rows, path = reference
    found = visit(page=path)
    for chosen in selections(rows):
        check(found, rows, chosen)


@pytest.mark.parametrize("seed", [3, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 12))])
def test_a_ranking_with_gaps_sets_the_same_estimators_apart(visit: Open, tmp_path: Path, seed: int):
    """Tables in which estimators share too little, or disagree with their direct comparisons."""
    rows = with_gaps(seed)
    (tmp_path / "report.html").write_text(report_page(rows, []), encoding="utf-8")
    check(visit(page=tmp_path / "report.html"), rows.assign(size=problem_sizes(rows)), {"samples": 2})
