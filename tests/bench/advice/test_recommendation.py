"""`gradest recommend`: a user's file, the race, the refusal of what is biased, and code that runs."""

import itertools
import textwrap
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from time import process_time

import numpy as np
import pytest
import torch

from bench.advice.arm import Arm, Found, rounds, tried
from bench.advice.entrants import Field, Judge, alive, entrants
from bench.advice.own_model import load_model
from bench.advice.race import decided, eliminate, race
from bench.advice.recommendation import Recommendation, recommend
from bench.cli.main import app
from bench.distributions import distributions
from bench.objectives import objectives
from bench.problems.problem import Problem
from bench.statistics.interval import Interval
from estimators import Estimator, get
from estimators.errors import BadInput
from estimators.needs import Offer

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.py"))
TEN_LINES = """
    import torch
    from torch.distributions import Bernoulli, Independent
    parameters = torch.zeros(4)
    def distribution(logits):
        return Independent(Bernoulli(logits=logits), 1)
    def objective(z):
        return (z.sum(-1) - 1.3).square()
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def written(text: str) -> Path:
        path = tmp_path / "model.py"
        path.write_text(textwrap.dedent(text))
        return path

    return written


def run_code(found: Recommendation, path: Path) -> torch.Tensor:
    """Runs the three lines after the user's file, with θ that wants a gradient, and gives that gradient."""
    scope: dict = {}
    exec(compile(path.read_text(), str(path), "exec"), scope)
    given = scope["parameters"]
    leaves = given if isinstance(given, dict) else {"parameters": given}
    for value in leaves.values():
        value.requires_grad_()
    assert len(found.code.splitlines()) == 3
    exec(found.code, scope)
    assert all(value.grad is not None for value in leaves.values())
    return torch.cat([value.grad.flatten() for value in leaves.values()])  # type: ignore[union-attr]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_run_and_their_code_trains(path: Path):
    found = recommend(path, seconds=2.5, samples=(2,), clock=process_time)
    assert found.sentence.startswith(f"Use {found.estimator} with n = 2") and "reinforce" in found.sentence
    assert get(found.estimator).traits.unbiased
    assert run_code(found, path).isfinite().all()
    measured = found.table.dropna(subset="cost")
    assert bool((measured["cost_low"] <= measured["cost"]).all())
    html = found._repr_html_()
    assert found.estimator in html and "<pre" in html


def test_an_arm_measures_the_variance_that_enumeration_gives(write: Callable[[str], Path]):
    """REINFORCE on f = (Σb − 1.3)², p = ½, n = 1; the interval's false-alarm rate is 1e-7."""
    arm = Arm(get("reinforce"), "reinforce", 1, load_model(write(TEN_LINES)).problem, 0).prepare("race")
    arm.draw(2**15)
    bits = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 4)
    gradients = (bits.sum(-1) - 1.3).square()[:, None] * (bits - 0.5)
    exact = (gradients.square().mean(0) - gradients.mean(0).square()).sum().item()
    found = arm.variance(1 - 1e-7)
    assert found.low < exact < found.high < 1.3 * exact
    (gradient,) = arm.step()
    assert gradient is not None and gradient.shape == (4,)


def test_enumeration_is_told_apart(write: Callable[[str], Path]):
    found = recommend(write(TEN_LINES), seconds=5.0, samples=(1,), clock=process_time)
    assert "exact has no variance at all" in found.sentence
    assert "exact" not in set(found.table["estimator"])


JUMP = """
    import torch
    from torch.distributions import Independent, Normal
    parameters = {"loc": torch.zeros(2)}
    def distribution(p):
        return Independent(Normal(p["loc"], torch.ones(2)), 1)
    def objective(z):
        return 5 * (z > 0).float().sum(-1) + 0.1 * z.sum(-1)
"""


@pytest.mark.parametrize("biased", [False, True])
def test_a_pathwise_gradient_of_a_jump_is_put_out_though_it_is_quiet(write: Callable[[str], Path], biased: bool):
    model = load_model(write(JUMP))
    arms = [Arm(get(name), name, 2, model.problem, 0) for name in ("reinforce", "rloo", "reparameterisation")]
    judge, turns = Judge(Field(arms, {}, None), biased), itertools.count()
    race(arms, 30.0, keep=("rloo", "reinforce"), check=judge, clock=lambda: float(next(turns)))
    states = {arm.name: arm.state for arm in arms}
    if biased:
        assert states["reparameterisation"] == "open"
    else:
        assert states["reparameterisation"].startswith("biased here: its mean is off that of rloo by 9")
        assert states["rloo"] == "open"


def test_biased_ones_are_refused_unless_asked(write: Callable[[str], Path]):
    path = write(TEN_LINES)
    refused = recommend(path, seconds=1.5, samples=(2,), clock=process_time)
    assert refused.left_out["straight_through"].startswith("biased")
    assert "straight_through" not in set(refused.table["estimator"])
    assert "straight_through" in set(
        recommend(path, seconds=1.5, samples=(2,), biased=True, clock=process_time).table["estimator"]
    )


WRONG = {
    "no file": (None, "there is no file"),
    "import": ("import nothing_of_this_name", "does not import: ModuleNotFoundError"),
    "missing": ("parameters = 1", "defines no 'distribution'"),
    "integers": (TEN_LINES.replace("torch.zeros(4)", "torch.zeros(4).long()"), "must hold floating-point numbers"),
    "list": (TEN_LINES.replace("torch.zeros(4)", "[1.0]"), "a tensor or a dict of tensors by name, found list"),
    "not a distribution": (TEN_LINES.replace("Independent(Bernoulli(logits=logits), 1)", "logits"), "found Tensor"),
    "raises": (TEN_LINES.replace("Bernoulli(logits=logits)", "Bernoulli(scale=logits)"), "raises TypeError"),
    "shape": (TEN_LINES.replace(".sum(-1)", ""), r"must return shape \[2, 3\], found \[2, 3, 4\]"),
    "random": (TEN_LINES.replace("- 1.3", "- torch.rand(())"), "gives two values for one z"),
    "infinite": (TEN_LINES.replace("- 1.3", "+ float('inf')"), "not finite"),
    "no tensor": (TEN_LINES.replace("(z.sum(-1) - 1.3).square()", "1.0"), "found float|raises TypeCheckError"),
    "objective": (TEN_LINES.replace("def objective(z):", "objective = 3\n    def other(z):"), "found int"),
}


@pytest.mark.parametrize("text, says", WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_said_in_a_sentence(text: str | None, says: str, write: Callable[[str], Path]):
    path = Path("nowhere.py") if text is None else write(text)
    with pytest.raises(BadInput, match=says):
        load_model(path)


def test_settings_are_checked(write: Callable[[str], Path]):
    with pytest.raises(BadInput, match="seconds must be above 0"):
        recommend(write(TEN_LINES), seconds=0.0)
    with pytest.raises(BadInput, match="at least 1, found 0"):
        recommend(write(TEN_LINES), samples=(0,))


def test_a_plain_function_is_tried_for_its_gradient(write: Callable[[str], Path]):
    assert load_model(write(TEN_LINES)).objective.relaxable
    step = TEN_LINES.replace("(z.sum(-1) - 1.3).square()", "(z.sum(-1) > 1.3).float()")
    assert not load_model(write(step)).objective.relaxable


PROBLEM = Problem(distributions.get("normal", size=1), objectives.get("linear"))
assert PROBLEM.dim == 2


class Known(Arm):
    """An arm whose estimates are Normal with a given spread and whose step takes a given time."""

    spread: float = 1.0
    step_time: float = 1e-3

    def prepare(self, stage: str) -> "Known":
        self.chunk, self.tolerance = 64, 1e-12
        self.gradients = lambda rows: 1 + self.spread * torch.randn(rows, 2, dtype=torch.float64)  # type: ignore[assignment]
        return self.fresh(stage)  # type: ignore[return-value]

    def time(self, blocks: int) -> None:
        self.seconds += [self.step_time] * blocks


def known(spread: float, step_time: float = 1e-3, seed: int = 0) -> Known:
    arm = Known(get("reinforce"), f"spread {spread:g}", 1, PROBLEM, seed)
    arm.spread, arm.step_time = spread, step_time
    return arm


@pytest.mark.parametrize("seed", range(8))
def test_the_race_keeps_the_best_and_stops_by_itself(seed: int):
    """P(the best of one race is thrown out) ≤ 5 % by Bonferroni's bound, which is far from tight."""
    arms: list[Arm] = [*(known(spread, seed=seed) for spread in (1.0, 1.5, 3.0, 10.0)), known(0.9, 2e-3, seed)]
    left = race(arms, deadline=60.0, clock=iter(np.arange(0, 50, 0.01)).__next__)
    assert [arm.name for arm in left][:1] == ["spread 1"]
    assert {arm.name for arm in arms if arm.state == "out"} >= {"spread 3", "spread 10"}
    assert decided(left)


def test_a_race_without_time_says_so():
    arms: list[Arm] = [known(1.0), known(2.0)]
    assert race(arms, deadline=-1.0, clock=lambda: 0.0) == []
    assert all(arm.state.startswith("not tried") for arm in arms)


def test_estimates_that_are_all_zero_neither_win_nor_drop_out():
    silent = known(0.0)
    silent.prepare = lambda stage: Known.prepare(silent, stage)  # type: ignore[method-assign]
    silent.prepare("race").gradients = lambda rows: torch.zeros(rows, 2, dtype=torch.float64)  # type: ignore[assignment]
    silent.draw(64)
    silent.time(12)
    silent.look(0.999)
    loud = known(1.0)
    loud.prepare("race").draw(64)
    loud.time(12)
    loud.look(0.999)
    eliminate([silent, loud])
    assert silent.found is not None and silent.found.gate and silent.state == loud.state == "open"


def test_an_arm_that_fails_is_out_with_its_reason():
    broken = known(1.0)
    broken.prepare = lambda stage: (_ for _ in ()).throw(RuntimeError("no such thing"))  # type: ignore[method-assign]
    race([broken, known(2.0)], deadline=1e9)
    assert broken.state == "fails: RuntimeError: no such thing"


def test_a_product_of_independent_numbers_keeps_both_errors():
    found = Interval(2.0, 1.0, 4.0).times(Interval(3.0, 3.0, 3.0))
    assert found == pytest.approx((6.0, 3.0, 12.0))
    assert Interval.exact(0.0).times(Interval(3.0, 2.0, 4.0)) == (0.0, 0.0, 0.0)
    assert isinstance(Found(found, found, found, 1.0, 2.0, 64, ""), Found)


def test_the_command_answers(write: Callable[[str], Path]):
    from typer.testing import CliRunner

    runner = CliRunner()
    found = runner.invoke(app, ["recommend", str(write(TEN_LINES)), "--seconds", "2", "--samples", "2,4"])
    assert found.exit_code == 0, found.output
    assert "Use " in found.output and ".mean().backward()" in found.output
    wrong = runner.invoke(app, ["recommend", "nowhere.py", "--samples", "two"])
    assert isinstance(wrong.exception, BadInput) and "whole numbers" in str(wrong.exception)


FAULTS: dict[str, tuple[Callable[[Known], object], str]] = {
    "raises": (lambda arm: 1 / 0, "fails: ZeroDivisionError: division by zero"),
    "ends the process": (lambda arm: exit(3), "fails: SystemExit: 3"),
    "changes the seed": (lambda arm: torch.manual_seed(0), "fails: RuntimeError: changes torch's seed"),
    "changes the dtype": (lambda arm: torch.set_default_dtype(torch.float16), "changes torch's default dtype"),
    "changes the mode": (lambda arm: torch.set_grad_enabled(False), "changes torch's gradient mode"),
    "moves θ": (lambda arm: arm.problem.theta()["loc"].add_(1.0), "changes the parameters 'loc'"),
    "is NaN": (lambda arm: setattr(arm, "spread", float("nan")), "64 of 64 estimates are NaN or infinite"),
}


class Moved(Problem):
    """A problem whose θ is always the same tensor, as that of a user's file is."""

    @cached_property
    def kept(self) -> dict[str, torch.Tensor]:
        return super().theta()

    def theta(self) -> dict[str, torch.Tensor]:
        return self.kept


@pytest.mark.parametrize("stage", ["race", "final"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_arm_is_put_out_with_its_reason_and_the_others_go_on(fault: str, stage: str):
    act, reason = FAULTS[fault]
    problem = Moved(PROBLEM.family, PROBLEM.objective)
    start = {name: value.clone() for name, value in problem.theta().items()}
    bad, good, worse = known(0.1), known(1.0), known(30.0)
    for arm in (bad, good, worse):
        arm.problem = problem
    prepare = bad.prepare

    def faulty(at: str) -> Known:
        prepare(at)
        honest = bad.gradients
        if at == stage:
            bad.gradients = lambda rows: (act(bad), honest(rows))[1]  # type: ignore[assignment]
        return bad

    bad.prepare = faulty  # type: ignore[method-assign]
    left = race([bad, good, worse], deadline=50.0, clock=iter(np.arange(0, 90, 0.01)).__next__)
    if stage == "final":
        assert left == [bad]
        for arm in (bad, good):
            tried(arm, partial(arm.prepare, "final"))
        assert [*rounds([bad, good], 0.0, lambda: 1.0)]
        assert alive(good) and good.kept.drawn >= 64
    else:
        assert left == [good] and worse.state == "out"
    assert bad.state == reason and not alive(bad)
    assert torch.get_default_dtype() == torch.float32 and torch.is_grad_enabled()
    assert all(torch.equal(value, start[name]) for name, value in problem.theta().items())


def test_a_plug_in_whose_facts_raise_is_left_out_with_the_reason(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
):
    class Broken(Offer):
        def unmet(self, estimator: Estimator, n: int) -> str | None:
            if estimator == get("arm"):
                raise IndexError("list index out of range")
            return super().unmet(estimator, n)

    monkeypatch.setattr("bench.advice.entrants.Offer", Broken)
    found = entrants(load_model(write(TEN_LINES)), [2], 0, biased=False)
    assert found.left_out["arm"] == "fails: IndexError: list index out of range"
    assert {"reinforce", "disarm"} <= {arm.name for arm in found.arms}
