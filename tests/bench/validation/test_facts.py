"""Every quick fact is reproduced; the runner keeps, resumes and tells what is not."""

import json
import math

import pandas as pd
import pytest

from bench.validation.facts import FACT_GROUPS, FACTS
from bench.validation.facts.fact import SOURCE, Check, Curve, Fact, Picture, Rows, above, below, exact, near
from bench.validation.facts.record import NOT_REPRODUCED, REPRODUCED, FactRecord, examined, read_fact_records
from bench.validation.facts.runner import verify
from estimators.errors import BadInput
from tests.support.sweeps import gradest

SECONDS = {
    "an_ignored_latent_goes_to_its_prior", "baselines_on_a_quadratic", "black_scholes_greeks",
    "counts_and_waiting_times", "leave_one_out_on_a_bit", "many_bits", "order_of_pairs_on_a_bit",
    "pathwise_on_a_quadratic", "quadratics_without_variance", "quasi_monte_carlo_slopes", "rebar_on_a_bit",
    "score_on_a_quadratic", "sticking_the_landing_against_the_total_derivative", "straight_through_stalls",
    "sums_over_dimensions", "the_score_inside_the_bound_is_needed", "tighter_bounds_are_not_better",
    "without_the_entropy_q_collapses",
    *(name for name, fact in FACTS.items() if fact.group == "language"),
}  # fmt: skip
"""Quick facts that take more than half a second: reproduced in `make test-all`."""
QUICK = [
    pytest.param(name, marks=pytest.mark.slow if name in SECONDS else ())
    for name, fact in FACTS.items()
    if not fact.slow
]


@pytest.mark.parametrize("name", QUICK)
def test_quick_fact_is_reproduced(name):
    record = examined(FACTS[name], quick=True)
    assert record.verdict == REPRODUCED, record.reason


def test_facts_say_what_they_are():
    for fact in FACTS.values():
        assert fact.group in FACT_GROUPS
        assert fact.statement.endswith(".")
        assert fact.cite


@pytest.mark.parametrize(
    "check",
    [
        near("too far", 1.0, 1.3, 0.1),
        near("says nothing", 1.0, 1.3, 5.0),
        exact("another digit", 1.0, 1.0 + 2e-9),
        below("not surely", 1.0, 0.95, 0.1),
        above("not surely", 1.0, 1.05, 0.1),
    ],
    ids=lambda check: check.what,
)
def test_wrong_numbers_do_not_hold(check):
    assert not check.holds


def doubtful(sampler):
    """Holds with the second seed alone."""
    yield near("luck", float(sampler.seed), 1.0, 0.05)


def wrong(sampler):
    """Two is one."""
    yield near("two", 1.0, 2.0, 0.1)


def broken(sampler):
    """Raises."""
    yield near("one", 1.0, 1.0, 0.1)
    raise ValueError("no such thing")


def of(measure):
    return Fact(measure.__name__, "closed_form", "test", "nobody", False, measure)


def test_a_fact_is_measured_again_by_another_gradest(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.validation.facts.runner.FACTS", {"wrong": of(wrong)})
    shown = []
    verify(tmp_path, show=lambda record, left: shown.append(record.digest))
    monkeypatch.setattr("bench.validation.facts.runner.SOURCE", "another")
    verify(tmp_path, show=lambda record, left: shown.append(record.digest))
    assert shown == [SOURCE, SOURCE]


def drawn(sampler):
    """Has a picture."""
    yield near("one", 1.0, 1.0, 0.05)
    yield Picture("a picture", "x", "y", [Curve("a curve", [0.0, 1.0], [0.0, 1.0])])


def test_a_picture_that_cannot_be_drawn_does_not_cost_the_page(tmp_path, monkeypatch):
    def fails(pictures):
        raise ValueError("no ink")

    monkeypatch.setattr("bench.validation.facts.runner.FACTS", {"drawn": of(drawn)})
    monkeypatch.setattr("bench.validation.facts.page.fact_figure", fails)
    found = verify(tmp_path)
    assert found.counts[REPRODUCED] == 1
    assert "could not be drawn: ValueError: no ink" in (tmp_path / "verify.html").read_text()


def test_a_notebook_shows_the_counts_and_what_is_not_reproduced(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.validation.facts.runner.FACTS", {"wrong": of(wrong)})
    html = verify(tmp_path)._repr_html_()
    assert "not reproduced" in html and "two: expected" in html


def test_a_fact_is_tested_once_more():
    record = examined(of(doubtful))
    assert (record.verdict, record.retested, record.seed) == (REPRODUCED, True, 1)


@pytest.mark.parametrize(("measure", "reason"), [(wrong, "two: expected = 1"), (broken, "ValueError: no such thing")])
def test_what_is_wrong_is_said(measure, reason):
    record = examined(of(measure))
    assert record.verdict == NOT_REPRODUCED
    assert reason in record.reason


def test_record_survives_json():
    record = examined(FACTS["concrete_on_a_quadratic"], quick=True)
    assert FactRecord.of(json.loads(record.line())) == record


def test_verify_resumes(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.validation.facts.runner.FACTS", {"wrong": of(wrong), "broken": of(broken)})
    first = verify(tmp_path, quick=True)
    assert first.counts == {REPRODUCED: 0, NOT_REPRODUCED: 2, "not run": 0}
    with (tmp_path / "records.jsonl").open("a") as file:
        file.write('{"fact": "torn')
    shown = []
    again = verify(tmp_path, quick=True, show=lambda record, left: shown.append(record.fact))
    assert not shown
    assert again.failed == first.failed
    verify(
        tmp_path, quick=True, where="fact == 'wrong'", rerun="all", show=lambda record, left: shown.append(record.fact)
    )
    assert shown == ["wrong"]
    assert len((tmp_path / "records.jsonl").read_text().splitlines()) == 3
    assert set(read_fact_records(tmp_path / "records.jsonl")) == {"wrong", "broken"}


def test_slow_facts_are_not_run_quickly(tmp_path, monkeypatch):
    slow = Fact("slow", "course", "test", "nobody", True, wrong)
    monkeypatch.setattr("bench.validation.facts.runner.FACTS", {"slow": slow})
    found = verify(tmp_path, quick=True)
    assert found.counts["not run"] == 1
    assert found.table["verdict"].tolist() == ["not run"]


def test_command(tmp_path):
    done = gradest("verify", "--quick", "--where", "fact == 'reinforce_on_a_bit'", "--out", ".", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 reproduced, 0 not reproduced" in done.stdout
    page = (tmp_path / "verify.html").read_text()
    assert "q[(1−p)f₁ + p f₀]²" in page
    assert (tmp_path / "facts.csv").read_text().count(",reinforce_on_a_bit,") == 30
    assert (tmp_path / "verify-figures" / "agreement-closed_form.png").exists()


def test_bad_input():
    with pytest.raises(BadInput, match="did you mean 'group'"):
        verify(where="grop == 'course'")
    with pytest.raises(BadInput, match="no fact fits"):
        verify(where="group == 'cours'")
    with pytest.raises(BadInput, match="missing, all"):
        verify(rerun="some")


def test_checks_are_compared():
    assert Check("order", 1.0, 0.5, 0.4, 0.6, "<").holds
    assert not Check("order", 1.0, 0.5, 0.4, 0.6, ">").holds


def lasting(sampler):
    """Keeps rows."""
    yield near("one", 1.0, 1.0, 0.1)
    yield Rows("kept", {"step": [0, 1], "loss": [2.0, math.nan]})


def test_rows_are_kept_as_a_table(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.validation.facts.runner.FACTS", {"lasting": of(lasting)})
    verify(tmp_path)
    verify(tmp_path)  # from its record
    kept = pd.read_csv(tmp_path / "kept.csv")
    assert kept["step"].tolist() == [0, 1]
    assert kept["loss"][0] == 2.0  # pyright: ignore[reportGeneralTypeIssues]
    assert math.isnan(kept["loss"][1])  # pyright: ignore[reportArgumentType]


def test_a_fact_that_lacks_a_package_is_not_run(tmp_path, monkeypatch):
    lacking = Fact("lacking", "published", "test", "nobody", False, wrong, needs="no_such_package", extra="mnist")
    monkeypatch.setattr("bench.validation.facts.runner.FACTS", {"lacking": lacking})
    found = verify(tmp_path)
    assert found.counts["not run"] == 1
    assert found.table["reason"].tolist() == ['no_such_package is not installed: pip install "gradest[mnist]"']
