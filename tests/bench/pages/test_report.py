"""The page is whole, says what the table says, and stays text whatever the names are."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench.analysis.comparison import compare_estimators
from bench.analysis.ranking import rankings
from bench.pages.figures import drawings, measured, parts_of, with_figure_columns
from bench.pages.report import report, report_page
from bench.tables.wide import wide_table
from estimators.errors import BadInput
from tests.support.tables import ESTIMATORS, PROBLEMS, cell, table, typed, varied

ENVIRONMENT = {"env": "a", "python": "3.12", "processor": "<b>fast</b>", "accelerators": []}
VOID = {"meta", "link", "input", "br", "path", "use", "rect"}


class Reader(HTMLParser):
    """Collects ids, references, tags and visible text, and checks that tags nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attrs}
        self.ids += [found["id"]] if "id" in found else []
        for key in ("href", "xlink:href", "src", "action"):
            if key in found:
                (self.targets if found[key].startswith("#") else self.addresses).append(found[key])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def whole() -> str:
    return report_page(table(), [ENVIRONMENT], source="results/synthetic")


def test_the_page_is_well_formed_and_needs_nothing_from_outside(whole: str):
    found = Reader(whole)
    assert len(found.ids) == len(set(found.ids))
    assert all(target[1:] in found.ids for target in found.targets if not target.startswith("#cell="))
    assert all(address.startswith("data:") for address in found.addresses)
    outside = set(re.findall(r"https?://[^\"' )]+", whole))
    assert outside <= {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in whole


def test_the_summary_is_computed_from_the_table(whole: str):
    text = Reader(whole).text
    assert "6 estimators on 4 problems, n = 2 and 10 samples per estimate, on cpu, float64: 48 cells." in text
    assert "42 ok" in text and "4 not applicable" in text and "2 failed" in text
    assert "bits 2 problems all sizes, n = 10 rloo leave-one-out itself; bias at most 0.21 % on 2 problems" in text
    assert "2 of 6 estimators are shown biased somewhere: gumbel_softmax(temperature=0.5)" in text
    assert "the relative bias is 0.3 (0.285 to 0.315)" in text
    assert "In 8 of 42 cells the bias is unclear" in text
    assert "The relative bias is at most 0.0021 in half of them, and at most 0.0021 in all." in text


def test_the_page_says_how_to_reproduce_and_on_what_it_ran(whole: str):
    text = Reader(whole).text
    assert "gradest run results/synthetic/config.toml --out again" in text
    assert "<b>fast</b>" in text and "<b>fast</b>" not in whole


def data_of(page: str) -> dict[str, Any]:
    """The data that the page draws from; NaN, which browsers do not read, is an error."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None

    def refused(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(found[1], parse_constant=refused)


def test_every_cell_is_in_the_page_as_data(whole: str):
    data = data_of(whole)
    assert len(data["rows"]) == 48
    row = dict(zip(data["columns"], data["rows"][0], strict=True))
    row |= {name: values[row[name]] for name, values in data["levels"].items()}
    assert (row["estimator"], row["variance"], row["variance_low"]) == ("reinforce", 5, 4.75)
    lost = next(row for row in data["rows"] if len(row) < len(data["columns"]))
    assert data["levels"]["status"][lost[data["columns"].index("status")]] != "ok" and lost[-1] is not None


def test_every_ratio_is_in_the_page_with_its_cell(whole: str):
    data, compared = data_of(whole), compare_estimators(table())
    assert list(data["equal"]) == ["samples", "evaluations", "seconds"]
    assert len(data["pairs"]) == len(compared.pairs)
    place = {name: i for i, name in enumerate(data["columns"])}
    for (equal, at, ratio, low, high), row in zip(data["pairs"], compared.pairs.to_dict("records"), strict=True):
        shown = data["rows"][at]
        names = [data["levels"][name][shown[place[name]]] for name in ("estimator", "problem")]
        assert [list(data["equal"])[equal], *names, shown[place["samples"]]] == [
            row[name] for name in ("equal", "estimator", "problem", "samples")
        ]
        assert (ratio, low, high) == pytest.approx((row["ratio"], row["ratio_low"], row["ratio_high"]), rel=1e-3)
    assert data["order"][0] == data["baseline"] == "reinforce"
    assert [row["estimator"] for row in data["ranking"]] == list(rankings(table()).rows["estimator"])


def test_the_page_filters_by_what_varies(whole: str):
    assert data_of(whole)["filters"] == ["kind", "distribution", "objective", "size", "samples"]
    assert data_of(report_page(table((2,), problems=2), []))["filters"] == ["size"]
    assert data_of(report_page(table((2,), problems=1), []))["filters"] == []


HOSTILE = "</script><script>alert(1)</script>\"><img src=x onerror=a>$'"


def test_a_hostile_name_stays_text():
    frame = table((2,), problems=3).replace({"estimator": {"rloo": HOSTILE}, "objective": {"linear": HOSTILE}})
    found = report_page(frame.assign(run=HOSTILE, reason=HOSTILE), [])
    assert found.count("<script") == 2
    assert "<img" not in found
    assert HOSTILE in Reader(found).text and HOSTILE in data_of(found)["order"]


def test_an_empty_table_and_a_single_cell_make_pages_that_say_so():
    empty = Reader(report_page(table().iloc[:0], [])).text
    assert "The table is empty" in empty and "There are no cells" in empty
    one = Reader(report_page(typed(pd.DataFrame(cell(("reinforce", "{}"), PROBLEMS[0], 2))), [])).text
    assert "1 estimator on 1 problem, n = 2" in one
    assert "nothing to rank" in one
    lost = Reader(report_page(typed(pd.DataFrame(cell(("gumbel_softmax", "{}"), PROBLEMS[2], 2))), [])).text
    assert "1 not applicable" in lost and "No variance was measured" in lost


def test_each_timed_cell_says_how_far_it_is_from_the_limit_and_the_page_what_the_device_does():
    most = {"env": "a", "device": "cpu", "dtype": "float32", "value": 3.4e8, "ci_low": 3.3e8, "ci_high": 3.5e8}
    found = report_page(varied(), [], ceilings=[most | {"unit": "numbers/s", "method": "Uniform numbers."}])
    assert "3.4×10⁸ numbers/s 3.3×10⁸ to 3.5×10⁸ Uniform numbers." in Reader(found).text
    data = data_of(found)
    assert "times_of_limit" in data["shown"]
    assert data["rows"][0][data["columns"].index("times_of_limit")] == 4


def test_each_figure_has_one_place_with_a_caption_for_each_position_of_the_switch(whole: str):
    drawn = re.findall(r'<figure id="figure-([^"]*)" data-view="\1">(.*?)</figure>', whole, re.DOTALL)
    captions = {name: re.findall(r'<figcaption(?: data-equal="(\w+)")?>', inside) for name, inside in drawn}
    for name in ("ranking", "relative_variance", "variance"):
        assert captions[name] == ["samples", "evaluations", "seconds"]
    assert captions["bias_matrix"] == [""]
    frame = wide_table(table())
    every = measured(drawings(compare_estimators(frame), rankings(frame)), with_figure_columns(frame))
    assert len(drawn) == len(captions) and set(captions) == {each.shown_as for each in every}


def test_many_problems_are_split_into_several_files(tmp_path: Path):
    problems = [("bernoulli", f'{{"size":{size}}}', "quadratic_bits", "{}", size) for size in range(2, 26)]
    rows = [row for which in problems for each in list(ESTIMATORS)[:2] for row in cell(each, which, 2)]
    frame = wide_table(typed(pd.DataFrame(rows)))
    every = {each.name: each for each in drawings(compare_estimators(frame), rankings(frame))}
    parts = parts_of(every["relative_variance_samples"], frame, ["reinforce"], tmp_path)
    assert [part.rows["problem"].nunique() for part in parts] == [7, 7, 7, 3]
    assert [(part.number, part.parts) for part in parts] == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_file_becomes_a_page_with_figures_beside_it(tmp_path: Path):
    table((2,), problems=2).to_parquet(tmp_path / "results.parquet")
    (tmp_path / "environments.jsonl").write_text(json.dumps(ENVIRONMENT) + "\n")
    found = report(tmp_path / "results.parquet", tmp_path / "out.html")
    assert found == tmp_path / "out.html"
    names = {path.name for path in (tmp_path / "out-figures").iterdir()}
    frame = wide_table(table((2,), problems=2))
    drawn = measured(drawings(compare_estimators(frame), rankings(frame)), with_figure_columns(frame))
    assert len(drawn) >= 9
    assert names == {f"{each.name}.{kind}" for each in drawn for kind in ("png", "svg")}
    assert all(path.read_bytes()[:4] in (b"\x89PNG", b"<?xm") for path in (tmp_path / "out-figures").iterdir())


def test_a_page_that_cannot_be_written_is_one_sentence(tmp_path: Path):
    table((2,), problems=1).to_parquet(tmp_path / "results.parquet")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot write the report to"):
        report(tmp_path / "results.parquet", tmp_path / "file" / "out.html")
    with pytest.raises(BadInput, match="there is no"):
        report(tmp_path / "nothing")


@pytest.mark.slow
def test_ten_thousand_cells_make_less_than_ten_megabytes():
    estimators = [(f"estimator_{i}", "{}") for i in range(40)]
    problems = [("bernoulli", f'{{"size":{size}}}', "quadratic_bits", "{}", size) for size in range(2, 52)]
    rows = [row for which in problems for each in estimators for n in (1, 2, 4, 8, 16) for row in cell(each, which, n)]
    assert len(report_page(typed(pd.DataFrame(rows)), []).encode()) < 10_000_000


PART = "estimator in ['rloo', 'reinforce'] and distribution == 'bernoulli' and samples == 4"


def test_a_report_of_a_part_reads_and_shows_only_that_part(tmp_path):
    page = report("results/reference", tmp_path / "part.html", where=PART, jobs=1)
    text = page.read_text(encoding="utf-8")
    assert "rloo" in text
    assert "muprop" not in text.partition("<script")[0]
    with pytest.raises(BadInput, match="selects no row"):
        report("results/reference", tmp_path / "none.html", where="samples == 77")
