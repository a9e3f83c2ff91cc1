"""Whole recommendations: a file, objects, the table, code that runs, the command."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Independent, Normal, OneHotCategorical
from typer.testing import CliRunner

import bench
from bench.advice import workers
from bench.advice.recommendation import Recommendation
from bench.advice.workers import NoAnswer, WorkerHere
from bench.cli.main import app
from estimators import get
from estimators.errors import BadInput
from tests.support.own_models import EXAMPLES, TEN_LINES, advice

pytestmark = pytest.mark.usefixtures("processor_clock")


def run_code(found: Recommendation, path: Path) -> torch.Tensor:
    """Runs the printed code after the user's file, with θ that wants a gradient, and gives that gradient."""
    scope: dict[str, Any] = {}
    exec(compile(path.read_text(), str(path), "exec"), scope)
    given = scope["parameters"]
    leaves = dict(given.named_parameters()) if isinstance(given, torch.nn.Module) else given
    leaves = leaves if isinstance(leaves, dict) else {"parameters": leaves}
    for value in leaves.values():
        value.requires_grad_()
    exec(found.code, scope)
    assert all(value.grad is not None for value in leaves.values())
    return torch.cat([value.grad.flatten() for value in leaves.values()])  # type: ignore[union-attr]


FEW = {"mixture_posterior", "simulator", "token_policy", "vae_network"}
"""A discrete and a continuous example on each of the two roads in `make test`, the others in `make test-all`."""


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=() if path.stem in FEW else pytest.mark.slow, id=path.stem) for path in EXAMPLES],
)
def test_the_examples_run_and_their_code_trains(path: Path):
    found = advice(path, seconds=1.0, samples=(2,))
    assert found.estimator is not None and found.samples == 2 and found.road in ("batched", "loop")
    assert run_code(found, path).isfinite().all()
    rows = found.table.dropna(subset="product")
    assert bool((rows["product_low"] <= rows["product"]).all()) and len(rows)
    html = found._repr_html_()
    assert found.estimator.split("(")[0].split()[0] in html and "<pre" in html


def bits(theta: torch.Tensor) -> Independent:
    return Independent(Bernoulli(logits=theta), 1)


SMALL = (torch.zeros(4), bits, lambda z: 10 + (z.sum(-1) - 1.3).square())


def test_enumeration_races_and_wins_where_z_has_few_values():
    found = advice(SMALL, 2.0, (2,), names=("disarm", "exact", "reinforce"))
    assert found.conclusive and found.estimator == "exact"
    assert "without variance, unlike reinforce" in found.sentence
    assert found.table.loc[0, "variance"] == 0 and found.road == "batched"


def test_biased_estimators_race_only_when_asked():
    refused = advice(SMALL, 0.5, (2,))
    assert refused.left_out["straight_through"].startswith("biased")
    assert "straight_through" not in set(refused.table["estimator"])
    welcome = advice(SMALL, 0.5, (2,), biased=True)
    assert "straight_through" in set(welcome.table["estimator"])


def test_the_estimators_named_race_and_no_others():
    found = advice(SMALL, 1.0, (2,), names=("rloo", "reinforce"))
    assert set(found.table["estimator"]) == {"rloo", "reinforce"} and found.estimator == "rloo"
    with pytest.raises(BadInput, match="did you mean 'rloo'"):
        advice(SMALL, 1.0, names=("rlo",))


def test_a_cost_in_calls_of_f_is_counted():
    """Per step, rloo with n draws calls f n times; with n = 4 the product is variance × 4."""
    found = advice(SMALL, 1.0, (2, 4), names=("rloo", "reinforce"), cost="calls")
    rows = found.table.dropna(subset="step").set_index(["estimator", "samples"])
    assert rows.loc[("rloo", 4), "step"] == 4 and rows.loc[("reinforce", 2), "step"] == 2
    assert found.unit == "calls of f" and "calls of f a step" in found.sentence


def test_a_cost_may_be_a_function_of_the_draws():
    found = advice(SMALL, 0.5, (2,), names=("rloo",), cost=lambda z: 0 * z.sum(-1) + 7.0)
    assert found.table.loc[0, "step"] == 14.0


def test_settings_that_matter_race_and_the_code_has_them():
    """A symmetric pair of draws has no variance on a linear f: the wrapper is made around the pathwise gradient."""
    model = (torch.zeros(3), lambda t: Independent(Normal(t, 1.0), 1), lambda z: z.sum(-1) + 0.001 * z.pow(3).sum(-1))
    found = advice(model, 1.0, (2,))
    names = set(found.table["estimator"])
    assert "antithetic(inner=reparameterisation)" in names
    relaxed = advice((torch.zeros(12), bits, lambda z: (z.sum(-1) - 1.3).square()), 0.5, (1,))
    assert {"rebar", "rebar(temperature=0.1)"} <= set(relaxed.table["estimator"])


def test_too_little_time_is_inconclusive_and_says_how_much_would_do():
    def slow(z: torch.Tensor) -> torch.Tensor:
        for _ in range(300):
            torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
        return (z.sum(-1) - 1.3).square()

    found = advice((torch.zeros(20), bits, slow), 0.5)
    assert not found.conclusive and found.seconds_needed and found.seconds_needed > 0.5
    assert found.sentence.startswith("Inconclusive: ") and "would do" in found.sentence


def test_noise_is_found_and_not_raced():
    with pytest.raises(BadInput, match="two values for one z"):
        advice((torch.zeros(8), bits, lambda z: ((z.sum(-1) + torch.randn(z.shape[:-1])) > 5).float()))


def test_f_at_extreme_scales():
    """1e-170 in float64: without scaling the variances vanish and everything is exact."""
    theta = torch.zeros(20, dtype=torch.float64)
    for scale in (1e-170, 1e200):
        model = (theta, bits, lambda z, s=scale: s * (10 + (z.sum(-1) - 1.3).square()))
        found = advice(model, 1.0, (2,), names=("rloo", "reinforce"))
        assert found.estimator == "rloo" and "without variance" not in found.sentence


def test_an_index_of_integers_and_a_policy_of_ones_own_race():
    model = (torch.zeros(3, 4), lambda t: Categorical(logits=t), lambda z: torch.eye(4)[z, 0] + 0.1 * torch.arange(3))
    found = advice(model, 1.0, (2, 4))
    assert found.estimator is not None and "reinforce" in set(found.table["estimator"])


def test_results_are_saved_and_written_as_json(tmp_path: Path):
    found = advice((torch.zeros(4), bits, lambda z: z.sum(-1)), 1.0, (2,))
    folder = found.save(tmp_path / "advice")
    said = json.loads((folder / "recommendation.json").read_text())
    assert said["estimator"] == found.estimator and len(said["table"]) == len(found.table)
    assert (folder / "use.py").read_text().strip() == found.code
    assert (folder / "candidates.csv").read_text().startswith("estimator,samples,state")


def test_arguments_are_checked():
    theta, f = torch.zeros(4), lambda z: z.sum(-1)
    with pytest.raises(BadInput, match="seconds must be above 0"):
        bench.recommend("nowhere.py", seconds=0.0)
    with pytest.raises(BadInput, match="at least 1, found 0"):
        bench.recommend("nowhere.py", samples=(0,))
    with pytest.raises(BadInput, match="'objective' is not given"):
        bench.recommend(parameters=theta, distribution=bits)
    with pytest.raises(BadInput, match="not both"):
        bench.recommend("nowhere.py", parameters=theta)
    with pytest.raises(BadInput, match="cost must be 'seconds', 'calls'"):
        bench.recommend(parameters=theta, distribution=bits, objective=f, cost="tokens")


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command without a separate process."""
    monkeypatch.setattr("bench.advice.recommendation.WorkerProcess", WorkerHere)


@pytest.mark.usefixtures("inline")
def test_the_command_answers_with_exit_codes(write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch):
    runner, path = CliRunner(), write(TEN_LINES.replace("return (z", "return 10 + (z"))
    options = ["--samples", "2", "--estimators", "rloo,reinforce"]
    found = runner.invoke(app, ["recommend", str(path), "--seconds", "2", *options])
    assert found.exit_code in (0, 3), found.output
    assert "rloo with n = 2" in found.output and ".mean().backward()" in found.output
    said = runner.invoke(app, ["recommend", str(path), "--seconds", "0.001", "--json"])
    assert said.exit_code == 3 and json.loads(said.output)["conclusive"] is False
    wrong = runner.invoke(app, ["recommend", "nowhere.py", "--samples", "two"])
    assert isinstance(wrong.exception, BadInput) and "whole numbers" in str(wrong.exception)

    def dies(*_: Any, **__: Any) -> None:
        raise NoAnswer("the process died")

    monkeypatch.setattr("bench.advice.recommendation.recommend", dies)
    assert runner.invoke(app, ["recommend", str(path)]).exit_code == 1


def test_an_estimator_that_fails_costs_itself_alone(monkeypatch: pytest.MonkeyPatch):
    """disarm raises, arm ends the process, indecater changes the seed, local_expectation the number format."""
    acts: dict[str, Callable[[], Any]] = {
        "disarm": lambda: 1 / 0,
        "arm": lambda: exit(3),
        "indecater": lambda: torch.manual_seed(0),
        "local_expectation": lambda: torch.set_default_dtype(torch.float16),
    }
    for name, act in acts.items():
        kind = type(get(name))
        honest = kind.surrogate
        monkeypatch.setattr(kind, "surrogate", lambda *given, act=act, own=honest: (act(), own(*given))[1])
    names = (*acts, "rloo", "reinforce")
    found = advice((torch.zeros(20), bits, lambda z: (z.sum(-1) - 1.3).square()), 1.0, (2,), names=names)
    states = found.table.set_index("estimator")["state"]
    assert states["disarm"] == "fails: ZeroDivisionError: division by zero"
    assert states["arm"] == "fails: SystemExit: 3"
    assert states["indecater"] == "fails: changes torch's seed"
    assert states["local_expectation"] == "fails: changes torch's default dtype"
    assert found.estimator not in acts and torch.get_default_dtype() == torch.float32


def test_code_that_fails_on_the_users_objects_is_not_printed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        "bench.advice.workshop.failure_of", lambda code, model: "the code fails" if '"exact"' in code else None
    )
    model = (torch.zeros(3), lambda t: OneHotCategorical(logits=t), lambda z: z[..., 0])
    found = advice(model, 1.0, (2,), names=("exact", "rloo", "reinforce"))
    assert found.estimator != "exact" and '"exact"' not in found.code
    assert found.table.set_index("estimator").loc["exact", "state"] == "the code fails"


def test_memory_of_the_worker_is_bounded():
    limit = workers.memory_of_a_worker()
    assert limit is None or limit > 2**20
