"""Intervals over problems and over repetitions of a run: the truth, their own value, and what they cover."""

# pyright: reportGeneralTypeIssues=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binom

from bench.analysis.comparison import Comparison, compare
from bench.analysis.ranking import rankings
from bench.analysis.regressions import compare_runs
from bench.measure.accuracy.measurements import block_measurements, cell_measurements, rate_interval
from bench.measure.timing.blocks import VISITS, ThroughputSettings, Visited, over_visits, timed
from bench.plots import ranking
from bench.statistics.interval import Interval
from bench.statistics.over_problems import mean_ratio
from bench.statistics.ratios import p_above
from bench.statistics.stream import Replicates
from bench.sweeps.run import run
from bench.sweeps.windows import windows
from bench.tables.derived import derived
from bench.tables.folder import load
from bench.validation.coverage.clock import CLOCKS, MEDIAN, Machine
from bench.validation.coverage.noise import NOISES
from bench.validation.coverage.over_problems import over_problems_study
from bench.validation.coverage.real import against_others
from tests.bench.sweeps.test_run import BAD, _toml
from tests.support.sweeps import small_cells
from tests.support.tables import cell, table, typed

CELL = small_cells()[0]
FEWEST_HITS = int(binom.ppf(1e-7, 200, 0.95))
"""Of 200 studies of an interval that covers 95 %, so many hold the truth but for a chance of one in ten million."""


STUDIES = [
    ("problems_alike", 12),
    ("problems_with_gaps", 5),
    *(
        pytest.param(name, k, marks=pytest.mark.slow)
        for name, k in (("problems_differ", 3), ("problems_with_gaps", 30))
    ),
]
"""Laws of problems under which both intervals hold what they say; under `problems_skewed` the second holds 89 %."""


@pytest.mark.parametrize(("name", "k"), STUDIES)
def test_both_intervals_over_problems_hold_the_truth(name, k):
    found = [over_problems_study(name, k, index) for index in range(200)]
    for own in zip(*found, strict=True):
        assert sum(each.ci_low <= 0 <= each.ci_high for each in own) >= FEWEST_HITS > 165


def test_noise_of_measuring_alone_does_not_hold_for_other_problems():
    """The test above can fail: the first interval's width around the ratio holds in a fifth of the studies."""
    found = [over_problems_study("problems_differ", 12, index) for index in range(100)]
    held = [abs(other.value or 0) <= (these.ci_high or 0) - (these.value or 0) for these, other in found]
    assert sum(held) < 50


def ratios(rng, k):
    """k ratios of any kind: ties, zeros, infinities, exact ones, ones without an end, lopsided intervals."""
    log = rng.choice([0.0, 1.0, 4.0], k) if rng.random() < 0.4 else rng.standard_normal(k) * 10 ** rng.uniform(-2, 1)
    error = 10 ** rng.uniform(-6, 1, 2)[:, None] * np.exp(rng.standard_normal((2, k)))
    log = log + error[0] * rng.standard_normal(k)
    error[:, rng.random(k) < 0.1] = 0
    found = np.exp([log, log - error[0], log + error[1]])
    found[:, rng.random(k) < 0.05] = rng.choice([0.0, np.inf])
    found[2, rng.random(k) < 0.02] = np.inf
    found[1:, rng.random(k) < 0.02] = np.nan
    return Interval(*found)


@pytest.mark.parametrize("seed", range(60))
def test_the_interval_over_problems_holds_its_own_value(seed):
    rng = np.random.default_rng(seed)
    k = int(rng.choice([1, 2, 3, 4, 5, 12, 50, 120]))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        given = ratios(rng, k)
        found = mean_ratio(given, [str(each) for each in range(k)])
        logs = np.log(given.value)
    if np.isfinite(logs).any():
        np.testing.assert_allclose(found.value, np.exp(logs[np.isfinite(logs)].mean()), rtol=1e-9)
        assert found.problems == np.isfinite(logs).sum() and found.low <= found.value <= found.high
        assert found.measured.low <= found.value <= found.measured.high


def random_table(seed):
    """Many problems with random variances: ties, zeros, missing cells, lopsided and closed intervals."""
    rng = np.random.default_rng(seed)
    kinds = [("reinforce", "{}"), ("rloo", "{}"), ("exact", "{}"), ("gumbel_softmax", '{"temperature":0.5}')]
    problems = [("bernoulli", f'{{"size":{k}}}', "parity", "{}", 5) for k in range(int(rng.choice([1, 3, 4, 9, 30])))]
    rows = [row for problem in problems for kind in kinds for n in (2, 10) for row in cell(kind, problem, n)]
    frame = typed(pd.DataFrame(rows))
    frame = frame[(frame["metric"] == "variance").to_numpy() & (rng.random(len(frame)) < 0.95)]
    count = len(frame)
    value = np.where(frame["estimator"] == "exact", 0.0, np.exp(rng.choice([0.0, 0.0, 1.0, rng.uniform(-9, 9)], count)))
    value = np.where(rng.random(count) < 0.02, 0.0, value)
    down, up = 10 ** rng.uniform(-6, 0.5, (2, count)) * (rng.random((2, count)) < 0.9)
    value = value * np.exp(0.1 * down * rng.standard_normal(count))
    return frame.assign(value=value, ci_low=value * np.exp(-down), ci_high=value * np.exp(up))


@pytest.mark.parametrize("seed", range(20))
def test_no_ratio_of_a_random_table_is_outside_its_interval(seed):
    frame = random_table(seed)
    with np.errstate(all="ignore"):
        found = compare(frame, baseline="reinforce")
    assert isinstance(found, Comparison) and len(found.overall)
    for part in (found.pairs, found.overall):
        own = part[["ratio", "ratio_low", "ratio_high"]].dropna().to_numpy(float)
        slack = 1e-12 * np.where(np.isfinite(own[:, 0]), own[:, 0], 0.0)
        assert (own[:, 1] <= own[:, 0] + slack).all() and (own[:, 0] <= own[:, 2] + slack).all()


@pytest.mark.parametrize("noise", sorted(NOISES))
def test_no_measured_number_is_outside_its_interval(noise):
    """Every metric of random streams: few and many replicates, one coordinate and many, g near, far and 0."""
    torch.manual_seed(11)
    for count, dim, size in ((64, 1, 1.0), (64, 30, 0.0), (256, 3, 1e-3), (1024, 30, 10.0), (4096, 2, 1.0)):
        target = size * np.linspace(-1.0, 2.0, dim)
        kept = Replicates({"all": slice(0, dim), "first": slice(0, 1)}, target, np.zeros(dim))
        for _ in range(4):
            kept.add(torch.tensor(target) + NOISES[noise].draw(count // 4, dim).double())
        rows = [*cell_measurements(kept)]
        for block in kept.blocks:
            rows += block_measurements(kept.block(block), block, 0.5, 1e-12)
        held = [
            (row.ci_low, row.value, row.ci_high) for row in rows if None not in (row.ci_low, row.value, row.ci_high)
        ]
        assert len(held) > 4 and held == [tuple(sorted(ends)) for ends in held]  # pyright: ignore


def test_a_ranking_over_many_tied_problems_is_drawn():
    """Six estimators on 60 problems, half of them equal."""
    rng = np.random.default_rng(0)
    problems = [("bernoulli", f'{{"size":{k}}}', "quadratic_bits", "{}", 5) for k in range(1, 61)]
    names = [("reinforce", "{}"), *((f"e{i}", "{}") for i in range(5))]
    rows = [row for which in problems for name in names for row in cell(name, which, 2) if row["metric"] == "variance"]
    frame = typed(pd.DataFrame(rows))
    log = rng.choice([0.0, 0.0, 0.01, 2.0], len(frame)) + 0.03 * rng.standard_normal(len(frame))
    frame = frame.assign(value=np.exp(log), ci_low=np.exp(log - 0.06), ci_high=np.exp(log + 0.06))
    found = rankings(frame)
    ranked = found.rows[found.rows["apart"] == ""]
    assert len(ranked) == 6 and (ranked["ratio_low"] <= ranked["ratio"]).all()
    assert (ranked["ratio"] <= ranked["ratio_high"]).all() and ranking(frame, ranked=found).axes


@pytest.mark.parametrize("clock", ["correlated_clock", "slow_seconds_clock"])
def test_the_interval_of_a_time_covers_what_changes_between_visits(clock):
    """Neighbouring blocks are alike: visits that lie apart differ as repetitions do; one visit does not see it."""
    settings = ThroughputSettings()
    hits = alone = 0
    for seed in range(200):
        found = Machine(CLOCKS[clock](np.random.default_rng(seed))).timing(settings)
        hits += found.seconds.low <= MEDIAN <= found.seconds.high
        machine = Machine(CLOCKS[clock](np.random.default_rng(seed)))
        single = timed(machine, settings, clock=lambda machine=machine: machine.now)
        alone += single.seconds.low <= MEDIAN <= single.seconds.high
    assert hits >= FEWEST_HITS > alone


@pytest.mark.parametrize("visits", range(1, 8))
def test_the_interval_over_visits_holds_its_value(visits):
    rng = np.random.default_rng(visits)
    for _ in range(200):
        medians = np.exp(rng.standard_cauchy(visits).clip(-50, 50))
        value, low, high = over_visits([Interval.exact(each) for each in medians.tolist()])
        assert low * (1 - 1e-12) <= value <= high * (1 + 1e-12)


def test_visits_share_the_seconds_of_one():
    machine = Machine(CLOCKS["spiky_clock"](np.random.default_rng(0)))
    visited = Visited(machine, ThroughputSettings(precision=1e-6, max_seconds=2.0), clock=lambda: machine.now)
    for _ in range(VISITS):
        visited.visit()
        machine.now += 10.0
    found = visited.timing()
    assert found.visits == VISITS and found.stop_reason == "budget"
    assert 2.0 <= machine.now - 10.0 * VISITS < 2.0 + 2 * VISITS * 0.05
    assert found.covers == "within this run: 5 visits over 42 s"


def test_a_slow_step_is_not_visited_beyond_twice_its_seconds():
    machine = Machine(lambda now: 3.0)
    visited = Visited(machine, ThroughputSettings(max_seconds=2.0), clock=lambda: machine.now)
    for _ in range(VISITS):
        visited.visit()
    assert machine.now == 6.0  # the second began within twice the seconds
    one_only = Visited(lambda number: 9.0, ThroughputSettings(max_seconds=2.0)).visit().timing()
    assert (one_only.visits, one_only.covers) == (1, "within this visit only")


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 16, 17, 33, 100, 257])
def test_windows_hold_every_cell_once_and_8_to_16_where_there_are_enough(count):
    every = [replace(CELL, seed=seed) for seed in range(count)]
    found = windows(every)
    assert [cell for window in found for cell in window] == every
    assert all(8 <= len(window) <= 16 for window in found) or count < 8


def between(before, after, slower, cells=20):
    """Two runs of many timed cells, the second slower by half in one of them: what --fail-on says."""
    rows = table((2,), 1)
    rows = rows[rows["metric"].eq("seconds_per_estimate").fillna(False)].head(1)
    first = pd.concat([rows.assign(seed=seed, cell=f"cell{seed}") for seed in range(cells)], ignore_index=True)
    first["method"], second = before, first.assign(method=after)
    factor = np.exp(0.01 * np.random.default_rng(0).standard_normal(len(first)))
    factor[0] = slower
    for name in ("value", "ci_low", "ci_high"):
        second[name] = second[name] * factor
    first["objective_params"] = second["objective_params"] = [f'{{"seed":{seed}}}' for seed in range(len(first))]
    return compare_runs(first, second, "seconds_per_estimate>10%")


@pytest.mark.parametrize("phrase", ["within this run", "covers a repetition of the run"])
def test_fail_on_judges_times_by_how_much_the_cells_of_two_runs_differ(phrase):
    """Tables of before say the older phrase."""
    over = f"{phrase}: 5 visits over 40 s"
    judged = between(over, over, 1.5)
    assert len(judged.failures) == 1 and not any("not judged" in note for note in judged.notes)
    assert any("all cells together × " in note for note in judged.notes)
    assert not between(over, over, 1.05).failures


def test_fail_on_makes_no_claim_from_an_interval_within_one_visit():
    over = "within this run: 5 visits over 40 s"
    for before, after in ((over, "within this visit only"), ("median of 9 blocks", over), ("", "")):
        silent = between(before, after, 1.5)
        assert not silent.failures and silent.rows["p"].isna().all()
        assert any("not judged" in note and "visited more than once" in note for note in silent.notes)


def test_fail_on_makes_no_claim_from_a_few_cells():
    over = "within this run: 5 visits over 40 s"
    silent = between(over, over, 1.5, cells=3)
    assert not silent.failures and any("if at least 8 of them" in note for note in silent.notes)


def test_few_visits_make_a_p_value_of_students_t():
    found = Interval(*np.array([[1.5], [1.2], [1.9]]))
    five, many = p_above(found, 1.0, np.array([4.0])), p_above(found, 1.0)
    assert float(five[0]) > 5 * float(many[0])
    assert np.isnan(p_above(found, 1.0, np.array([np.nan]))[0])
    assert float(p_above(Interval(*np.array([[1.2], [1.0], [1.5]])), 1.0, np.array([4.0]))[0]) == pytest.approx(0.025)


def test_derived_times_say_what_their_interval_covers():
    rows = table((2,), 1).assign(method="median; within this run: 5 visits over 40 s; drift +1%")
    found = derived(rows).groupby("metric")["method"].first()
    assert found["estimates_per_second"] == "1 ÷ median time; within this run: 5 visits over 40 s"
    assert found["variance_per_evaluation"] == "variance × evaluations"


def test_a_repetition_is_held_against_the_others():
    own = pd.DataFrame({"value": [1.0, 2.0, 4.0], "low": [0.5, 1.0, 3.0], "high": [3.5, 3.0, 5.0]})
    assert [(each.ci_low or 0) <= 1 <= (each.ci_high or 0) for each in against_others(own)] == [True, True, False]


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize("harmful", [["raises", "dies"], pytest.param(["hangs", "dies"], marks=pytest.mark.slow)])
def test_a_bad_cell_in_a_window_costs_its_own_row_only(tmp_path, harmful):
    (tmp_path / "bad.py").write_text(BAD)
    suite = _toml(tmp_path, ["rloo", harmful[0], "reinforce", harmful[1]])
    text = suite.read_text().replace('metrics = ["accuracy"]', 'metrics = ["throughput"]')
    suite.write_text(text.replace("max_seconds = 0.1", "max_seconds = 0.1, replicates = 64"))  # many steps to a visit
    found = run(suite, tmp_path / "out", jobs=1, timeout=30.0, plugin=tmp_path / "bad.py", where="samples == 2")
    words = {"raises": "failed", "dies": "crashed", "hangs": "timeout"}
    assert found.counts == {"ok": 2} | {words[name]: 1 for name in harmful}
    times = load(tmp_path / "out").query("metric == 'seconds_per_estimate'")
    assert set(times["estimator"]) == {"rloo", "reinforce"}
    said = r"within this run: \d visits over|within this visit only"  # a retry may be alone
    assert times["method"].str.contains(said).all()


def test_wilsons_interval_of_a_share_covers_it():
    """Exact coverages, from the binomial law: near 95 % on average, and never far below it, also for rare events."""
    shares = np.array([0.003, 0.01, 0.05, 0.2, 0.5, 0.9])
    for count in (100, 1000):
        intervals = [rate_interval(hits, count) for hits in range(count + 1)]
        low, high = (np.array([each[end] for each in intervals]) for end in (1, 2))
        inside = (low <= shares[:, None]) & (shares[:, None] <= high)
        coverage = (inside * binom.pmf(np.arange(count + 1), count, shares[:, None])).sum(1)
        assert 0.94 < coverage.mean() < 0.975 and coverage.min() > 0.9
