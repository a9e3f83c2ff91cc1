"""A suite's name, a folder or a table: all mean a run's results."""

from pathlib import Path

import pandas as pd
import pytest

import bench
from bench.tables.results import beside, results_path, run_folder
from estimators.errors import BadInput
from tests.support.tables import table


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The working directory, where the suite `quick` was run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results/quick").mkdir(parents=True)
    return tmp_path


def test_a_name_means_its_results(place: Path):
    assert results_path("quick") == Path("results/quick") == run_folder("quick") == results_path("results/quick")
    assert results_path(place / "results/quick") == place / "results/quick"


def test_what_is_there_by_that_path_comes_first(place: Path):
    (place / "quick").mkdir()
    assert results_path("quick") == Path("quick")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("quik", "and no results/quik, where `gradest run quik` writes; did you mean 'quick'"),
        ("core", "and no results/core, where `gradest run core` writes; there is quick"),
        ("results/quik", "there is no folder or file results/quik$"),
        ("quick.csv", r"there is no folder or file quick\.csv$"),
    ],
)
def test_what_is_not_there(place: Path, given, said):
    with pytest.raises(BadInput, match=said):
        results_path(given)


def test_the_place_beside_results(place: Path):
    (place / "table.csv").write_text("")
    assert beside("quick", "report.html") == Path("results/quick/report.html")
    assert beside("table.csv", "report.html") == Path("report.html")
    with pytest.raises(BadInput, match="a DataFrame has no folder; give the file to write"):
        beside(pd.DataFrame(), "report.html")
    with pytest.raises(BadInput, match=r"table\.csv is a file; give the folder of a run"):
        run_folder("table.csv")


def test_every_verb_takes_all_three(place: Path):
    """The same answers for a name, a folder, a file and a DataFrame."""
    frame = table()
    for given in (frame, bench.export(frame, "results/quick/results.csv"), "quick", "results/quick"):
        assert len(bench.load(given)) == len(frame)
        ranked = bench.compare(given, where="samples == 2", baseline="reinforce")
        assert set(ranked.pairs["samples"]) == {2}  # pyright: ignore[reportAttributeAccessIssue]
        assert len(bench.load(bench.export(given, "again.parquet"))) == len(frame)
    assert set(bench.compare("quick", frame).rows["ratio"]) == {1}  # pyright: ignore[reportAttributeAccessIssue]


def test_a_filter_that_picks_nothing(place: Path):
    bench.export(table(), "results/quick/results.csv")
    with pytest.raises(BadInput, match=r"--where 'samples == 77' selects no row of quick"):
        bench.compare("quick", where="samples == 77")
