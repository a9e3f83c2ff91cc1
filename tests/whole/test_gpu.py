"""What only a GPU can show: `make test-gpu`. `GRADEST_DEVICE=cpu` plays what a CPU can, to test these tests."""

import os

import pytest
import torch
from typer.testing import CliRunner

import bench
import estimators
from bench.cli.main import app
from bench.distributions import distributions
from bench.measure.estimates.gradients import Gradients
from bench.measure.estimates.prepared import Execution
from bench.measure.timing.blocks import ThroughputSettings
from bench.measure.timing.ceilings import CEILINGS, ceilings
from bench.measure.timing.throughput import measure_throughput
from bench.objectives import objectives
from bench.problems.problem import Problem
from tests.bench.validation.test_capture_rules import excepted
from tests.support.pairings import covering

DEVICE = os.environ.get("GRADEST_DEVICE", "cuda")
THERE = DEVICE == "cpu" or torch.cuda.is_available()
CUDA = DEVICE == "cuda" and THERE
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not THERE, reason="there is no GPU")]

BITS = Problem(distributions.get("bernoulli", size=20), objectives.get("quadratic_bits"))
MODES = ["eager", "compile", "graph"] if CUDA else ["eager"]
REPLICATES = 2048


@pytest.fixture(scope="module")
def cases():
    return covering()


def test_the_device_estimates_what_the_cpu_estimates(cases):
    """float32 there, float64 here, other draws: means differ by less than 8 standard errors in every coordinate."""
    wrong = []
    for case in cases:
        torch.manual_seed(0)
        there = Gradients(case.problem, case.estimator, case.draws, device=DEVICE, dtype=torch.float32)(REPLICATES)
        assert (there.device.type, there.dtype) == (DEVICE, torch.float32), str(case)
        torch.manual_seed(1)
        here = Gradients(case.problem, case.estimator, case.draws)(REPLICATES)
        if not agree(there.cpu().double(), here):
            wrong.append(str(case))
    assert wrong == []


def agree(one, other):
    """Whether two samples `[R, P]` have one mean; float32 may round by 1e-4 of the largest coordinate."""
    error = ((one.var(0) + other.var(0)) / len(one)).sqrt()
    rounding = 1e-4 * (1 + other.mean(0).abs().max())
    return bool(((one.mean(0) - other.mean(0)).abs() <= 8 * error + rounding).all())


@pytest.mark.skipif(not CUDA, reason="CUDA graphs need a GPU")
def test_graphs_replay_what_eager_draws(cases):
    wrong = []
    for case in cases:
        if excepted(case):
            continue
        eager, graph = (
            Gradients(case.problem, case.estimator, case.draws, device=DEVICE, dtype=torch.float32, mode=mode)
            for mode in ("eager", "graph")
        )
        graph(64)
        found = []
        for step in (eager, graph):
            torch.manual_seed(7)
            found.append(torch.stack([step(64), step(64)]))
        if not torch.allclose(*found, rtol=1e-4, atol=1e-5, equal_nan=True):
            wrong.append(str(case))
    assert wrong == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["rloo", "disarm", "rebar", "gumbel_softmax"])
def test_timing(name, mode):
    execution = Execution("cell", 0, DEVICE, torch.float32, mode)
    outcome = measure_throughput(BITS, estimators.get(name), 2, ThroughputSettings(0.1, 0.5), execution)
    rows = {row.metric: row for row in outcome.measurements}
    wall = rows["seconds_per_estimate"].value
    assert wall is not None and 0 < wall < 1
    assert (rows["peak_memory"].value or 0) > 0
    if CUDA:
        device = rows["device_seconds_per_estimate"]
        assert device.method == "graph replay between events"
        assert 0 < (device.value or 0) <= 1.2 * wall


def test_ceilings():
    rows = ceilings(DEVICE)
    assert [row["metric"] for row in rows] == [*CEILINGS]
    assert all(row["value"] > 1e6 for row in rows)


def test_a_sweep_needs_no_other_step(tmp_path):
    suite = tmp_path / "small.toml"
    suite.write_text(
        f"""
        samples = 2
        mode = {MODES}
        dtype = "float32"
        estimators = ["rloo", "disarm"]
        accuracy = {{ max_replicates = 4096, precision = 0.3 }}
        throughput = {{ max_seconds = 0.1 }}
        problems = [{{ distribution = "bernoulli", objective = "quadratic_bits" }}]
        """
    )
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["run", str(suite), "--out", str(out), "--device", DEVICE])
    assert result.exit_code == 0, result.output
    table = bench.load(out)
    assert set(table["status"]) == {"ok"} and set(table["dtype"]) == {"float32"}
    assert set(table["device"]) == {DEVICE} and set(table["mode"]) == set(MODES)
