"""A verification of some facts leaves what the folder has of the others, to the letter."""

import pandas as pd
import pytest

from bench.validation.facts.fact import Fact, Rows, near
from bench.validation.facts.runner import verify

MEASURED = {"first": 1.0, "second": 2.0, "third": 1 / 3}


def fact_of(name):
    def measure(sampler):
        """Has a number."""
        yield near(f"the number of {name}, with a comma", MEASURED[name], MEASURED[name], 0.01)
        yield Rows("shared", {"value": [MEASURED[name]]})

    return Fact(name, "closed_form", "test", "nobody", False, measure)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder as it is committed: the tables without the records, measured by another gradest."""
    monkeypatch.setattr("bench.validation.facts.runner.FACTS", {name: fact_of(name) for name in MEASURED})
    verify(tmp_path)
    (tmp_path / "records.jsonl").unlink()
    text = (tmp_path / "facts.csv").read_text()
    (tmp_path / "facts.csv").write_text(text.replace(",20", ",19"))  # the dates of another century
    return tmp_path


def lines(folder, name):
    return [line for line in (folder / "facts.csv").read_text().splitlines() if f",{name}," in line]


def test_the_rows_of_other_facts_stay(folder):
    before = {name: lines(folder, name) for name in MEASURED}
    found = verify(folder, where="fact == 'second'")
    assert found.counts["reproduced"] == 1
    for name in ("first", "third"):
        assert lines(folder, name) == before[name]
    assert lines(folder, "second") != before["second"]
    assert pd.read_csv(folder / "facts.csv")["fact"].tolist() == [*MEASURED]


def test_the_page_says_what_was_kept(folder):
    verify(folder, where="fact == 'second'")
    page = (folder / "verify.html").read_text()
    assert "<b>3</b> reproduced" in page
    assert page.count("and kept; its numbers are in facts.csv") == 2
    assert page.count("Measured on 19") == 2


def test_a_shared_table_keeps_the_rows_of_other_facts(folder):
    (folder / "shared.csv").write_text("fact,value\nfirst,7\nsecond,8\nthird,9\n")
    verify(folder, where="fact == 'second'")
    shared = pd.read_csv(folder / "shared.csv")
    assert shared.to_dict("list") == {"fact": [*MEASURED], "value": [7.0, 2.0, 9.0]}


def test_a_shared_table_without_facts_stays_whole(folder):
    (folder / "shared.csv").write_text("value\n7\n8\n9\n")
    verify(folder, where="fact == 'second'")
    assert pd.read_csv(folder / "shared.csv")["value"].tolist() == [7, 8, 9]
    verify(folder)
    assert pd.read_csv(folder / "shared.csv")["fact"].tolist() == [*MEASURED]


def test_what_is_chosen_and_not_run_is_not_kept(folder, monkeypatch):
    lacking = Fact("first", "closed_form", "test", "nobody", False, fact_of("first").measure, needs="no_such_package")
    facts = {"first": lacking, "second": fact_of("second"), "third": fact_of("third")}
    monkeypatch.setattr("bench.validation.facts.runner.FACTS", facts)
    verify(folder)
    verdicts = pd.read_csv(folder / "facts.csv").set_index("fact")["verdict"].to_dict()
    assert verdicts == {"first": "not run", "second": "reproduced", "third": "reproduced"}


def test_a_table_of_other_columns_is_written_again(folder):
    (folder / "facts.csv").write_text("fact,verdict\nfirst,reproduced\n")
    verify(folder, where="fact == 'second'")
    verdicts = pd.read_csv(folder / "facts.csv").set_index("fact")["verdict"].to_dict()
    assert verdicts == {"first": "not run", "second": "reproduced", "third": "not run"}


def test_a_fact_that_is_no_more_leaves_the_tables(folder, monkeypatch):
    monkeypatch.setattr("bench.validation.facts.runner.FACTS", {name: fact_of(name) for name in ("first", "second")})
    verify(folder, where="fact == 'second'")
    for name in ("facts.csv", "shared.csv"):
        assert pd.read_csv(folder / name)["fact"].tolist() == ["first", "second"]
