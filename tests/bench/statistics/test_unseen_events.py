"""A verdict rests on what the draws show: events that have not come up, g = 0, dependent replicates, small biases."""

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

import estimators
from bench.distributions import distributions
from bench.measure.accuracy.accuracy import measure_accuracy
from bench.measure.accuracy.stopping import AccuracySettings, Ended, Sampling
from bench.measure.estimates.prepared import Execution
from bench.objectives import objectives
from bench.objectives.base import Target
from bench.problems.exact import Reference, reference
from bench.problems.problem import Problem
from bench.statistics.control import known_control
from bench.statistics.dependence import dependent
from bench.statistics.stream import Replicates
from bench.statistics.verdict import Rules, judge
from bench.tables.metrics import Outcome
from bench.validation.coverage.noise import NOISES
from estimators.needs import unmet

SHORT = AccuracySettings(max_replicates=16_384)


def outcome(problem: Problem, name: str, samples: int = 1, **changes: Any) -> Outcome:
    settings, exact = changes.pop("settings", SHORT), changes.pop("exact", None) or reference(problem)
    execution = Execution(cell_id="cell", seed=0, **changes)
    return measure_accuracy(problem, estimators.get(name), samples, settings, exact, execution=execution)


def normal(objective: str, **settings: Any) -> Problem:
    return Problem(distributions.get("normal", size=1), objectives.get(objective, **settings))


@pytest.mark.parametrize("name", ["reinforce", "measure_valued"])
@pytest.mark.parametrize(
    "problem",
    [
        normal("step", at=5.0),
        Problem(distributions.get("black_scholes", size=1), objectives.get("european_call", strike=300.0)),
    ],
    ids=["step", "call"],
)
def test_estimates_that_wait_for_an_event_get_no_verdict(problem, name):
    found = outcome(problem, name)
    assert found.verdict == "unclear"
    assert "may not have come up" in found.reason
    assert found.stop_reason == "budget"


def test_a_pathwise_gradient_of_a_step_is_biased_where_the_step_is_crossed():
    middle = float(normal("step", at=0.0).theta()["loc"])
    assert outcome(normal("step", at=middle), "reparameterisation").verdict == "biased"
    assert outcome(normal("step", at=middle + 5), "reparameterisation").verdict == "unclear"


@dataclass(frozen=True)
class Cliff(Target):
    """z, and above `at` a jump of `height`."""

    name = "cliff"
    used_by = "these tests"
    separable = True
    breaks_at: float = 0.0
    height: float = 0.0

    def terms(self, z: torch.Tensor) -> torch.Tensor:
        return z + self.height * (z > self.breaks_at)


def test_a_control_that_misses_the_gradient_too_takes_the_verdict_away(monkeypatch):
    """The jump is 4.5 deviations away (P = 3e-6) and carries half of g; the rest of f varies all the time."""
    family = distributions.get("normal", size=1)
    theta = family.theta("default", "natural")
    loc, scale = theta["loc"], theta["scale"]
    density = float(torch.distributions.Normal(0.0, 1.0).log_prob(torch.tensor(4.5, dtype=torch.float64)).exp())
    height = float(scale) / density
    problem = Problem(family, Cliff(breaks_at=float(loc + 4.5 * scale), height=height), "natural")
    exact = Reference({"loc": 0 * loc + 2.0, "scale": 0 * scale + 4.5}, {"loc": 0 * loc, "scale": 0 * scale}, "")
    found = outcome(problem, "measure_valued", exact=exact)
    assert found.verdict == "unclear"
    assert "a score function misses the exact gradient in these draws as well" in found.reason
    monkeypatch.setattr("bench.measure.accuracy.accuracy.control_of", lambda *about: known_control)
    assert outcome(problem, "measure_valued", exact=exact).verdict == "biased"


def stream(mean: float, seed: int, p: float = 0.0, carried: float = 0.0, most: int = 1_000_000) -> Ended:
    """Numbers of which nothing else is known: mean 1 is right; an event of probability p carries a part of it."""

    def draw(index: int) -> torch.Tensor:
        torch.manual_seed(1_000_003 * seed + index)
        jump = carried / p * (torch.rand(8192, 1) < p) if p else 0.0
        return mean - carried + 0.1 * torch.randn(8192, 1, dtype=torch.float64) + jump

    kept = Replicates({"all": slice(0, 1)}, np.ones(1), np.zeros(1))
    return Sampling(draw, 8192, kept, AccuracySettings(max_replicates=most)).run()


SEEDS = [range(1), pytest.param(range(1, 200), marks=pytest.mark.slow)]


@pytest.mark.parametrize("seeds", SEEDS, ids=len)
@pytest.mark.parametrize("carried", [0.1, 0.5])
@pytest.mark.parametrize("p", [1e-4, 1e-5])
def test_an_event_that_carries_part_of_the_mean_is_never_a_bias(p, carried, seeds):
    assert {stream(1.0, seed, p, carried).verdict.word for seed in seeds} <= {"unclear", "unbiased"}


def test_a_biased_stream_is_biased_from_a_million_estimates_on():
    assert stream(1.1, 0).verdict.word == "biased"
    short = stream(1.1, 0, most=131_072).verdict
    assert short.word == "unclear" and "biased is said only from 1,000,000 replicates on" in short.reason
    assert stream(1.0, 0).verdict.word == "unbiased"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    ("name", "verdict"),
    [(name, "unbiased") for name in ("reinforce", "rloo", "disarm", "exact")]
    + [("straight_through", "biased"), ("gumbel_softmax", "biased")],
)
def test_where_the_gradient_is_zero_the_verdict_is_on_the_scale_of_the_estimates(name, verdict, dtype):
    problem = Problem(distributions.get("bernoulli", size=3), objectives.get("quadratic_bits", t=0.5))
    settings = AccuracySettings(max_replicates=65_536)
    found = outcome(problem, name, 2, settings=settings, dtype=dtype)
    assert found.verdict == verdict, found.reason
    assert "the exact gradient is zero" in found.reason or "the mean equals the exact" in found.reason


@pytest.mark.parametrize("name", ["rloo", "arm", "exact"])
@pytest.mark.parametrize("t", [0.5000001, 0.500000000001])
def test_a_gradient_below_float32s_rounding_gets_a_sentence(name, t):
    """It was a ZeroDivisionError: estimates that do not vary have no noise that replicates would lessen."""
    problem = Problem(distributions.get("bernoulli", size=3), objectives.get("quadratic_bits", t=t))
    found = outcome(problem, name, 2, settings=AccuracySettings(max_replicates=4096), dtype=torch.float32)
    assert found.verdict == "unclear"
    assert "do not vary" in found.reason and "rounding" in found.reason


def test_an_exact_estimator_errs_by_the_size_of_its_terms_and_not_of_the_gradient():
    """In float32 a sum of terms near 1 is off by 1e-8, which is much beside a gradient of 1e-4."""
    problem = Problem(distributions.get("bernoulli", size=3), objectives.get("quadratic_bits", t=0.49999))
    found = outcome(problem, "exact", dtype=torch.float32)
    p = next(row.value for row in found.measurements if row.metric == "bias_pvalue")
    assert (found.verdict, p) == ("unbiased", 1.0), found.reason


@dataclass(frozen=True)
class Raised(Target):
    """A bilinear function of bits, on top of a constant that single precision hardly holds beside it."""

    name = "raised"
    used_by = "these tests"
    offset: float = 1e4

    def value(self, z: torch.Tensor) -> torch.Tensor:
        return self.offset + z[..., 0] - 2 * z[..., 1] + 0.5 * z[..., 2] + z[..., 0] * z[..., 1]


@dataclass(frozen=True)
class Constant(Target):
    name = "constant"
    used_by = "these tests"

    def value(self, z: torch.Tensor) -> torch.Tensor:
        return 0 * z.sum(-1) + 5.0


BITS = distributions.get("bernoulli", size=3)
OFFSETS = [Problem(BITS, Raised()), Problem(BITS, Constant())]


def fits(name: str, problem: Problem, samples: int) -> bool:
    q = problem.build(problem.encode(problem.theta()))
    return unmet(estimators.get(name), q, problem.function(next(iter(problem.theta().values()))), samples) is None


FITTING = [name for name in estimators.available() if fits(name, OFFSETS[0], 4)]


@pytest.mark.parametrize("name", [name for name in FITTING if estimators.get(name).traits.unbiased])
@pytest.mark.parametrize("problem", OFFSETS, ids=lambda problem: problem.objective.name)
def test_a_large_constant_in_single_precision_biases_no_estimator_in_a_loop(problem, name):
    """Beside the noise there is only the rounding of f: k · eps · |f| · |score|, with the k of test_laws.py."""
    estimator, exact = estimators.get(name), reference(problem)
    assert exact is not None
    theta = problem.theta()["logits"]
    logits = theta.float().expand(20_000, 3).clone().requires_grad_()
    torch.manual_seed(0)
    value = estimator.surrogate(problem.build({"logits": logits}), problem.function(logits), 4)
    value.sum().backward()
    assert logits.grad is not None
    noise = logits.grad.double().std(0) / len(logits) ** 0.5
    rounding = 16 * torch.finfo(torch.float32).eps * float(value.detach().abs().max())
    assert ((logits.grad.double().mean(0) - exact.gradient["logits"]).abs() <= 6 * noise + rounding).all()


OFFSET_VERDICTS = {
    "exact": "unbiased",
    "rloo": "unbiased",
    "disarm": "unbiased",
    "straight_through": "unbiased",  # f is bilinear
    "reinforce": "unbiased",  # its noise is 10,000 times the gradient; its mean is judged less a model of f
    "group_mean": "biased",
    "gumbel_softmax": "biased",
}


@pytest.mark.parametrize("name", OFFSET_VERDICTS)
def test_a_large_constant_in_single_precision_changes_no_verdict(name):
    settings = AccuracySettings(max_replicates=65_536)
    found = outcome(OFFSETS[0], name, 4, settings=settings, dtype=torch.float32)
    assert found.verdict == OFFSET_VERDICTS[name], found.reason


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in FITTING if name not in OFFSET_VERDICTS]


@pytest.mark.parametrize("name", [*OFFSET_VERDICTS, *SLOW])
def test_of_a_constant_in_single_precision_every_estimator_is_unbiased(name):
    found = outcome(OFFSETS[1], name, 4, settings=AccuracySettings(max_replicates=65_536), dtype=torch.float32)
    assert found.verdict == "unbiased", found.reason


@pytest.mark.slow
@pytest.mark.parametrize("name", FITTING)
def test_a_verdict_in_single_precision_is_that_in_double_precision(name):
    """An unbiased estimator is never called biased; one that double precision calls biased is not called unbiased."""
    settings = AccuracySettings(max_replicates=131_072)
    single, double = (
        outcome(OFFSETS[0], name, 4, settings=settings, dtype=dtype).verdict for dtype in (torch.float32, torch.float64)
    )
    assert {single, double} != {"biased", "unbiased"}
    assert single != "biased" or not estimators.get(name).traits.unbiased


def verdict_of(mean: np.ndarray, target: np.ndarray, sd: float = 0.03):
    torch.manual_seed(0)
    half = len(mean) // 2
    blocks = {"all": slice(0, len(mean)), "bias": slice(0, half), "weight": slice(half, len(mean))}
    kept = Replicates(blocks, target, np.zeros(len(mean)))
    for _ in range(4):
        kept.add(torch.tensor(mean) + sd * torch.randn(512, len(mean), dtype=torch.float64))
    return judge(kept.block("all"), Rules(0.02, 1e-5, 1, 1e-12), False, control=known_control, name=kept.coordinate)


def test_unbiased_beside_a_rejection_says_how_large_the_bias_is_and_where():
    target = np.ones(1000)
    one_wrong = target + 0.5 * (np.arange(1000) == 617)
    found = verdict_of(one_wrong, target)
    assert found.word == "unbiased" and found.p is not None and found.p < 1e-5
    assert "there is a bias of 0.016 (95 % interval 0.01" in found.reason
    assert "the worst coordinate is weight[117] (1.5 instead of 1, off by 0.5 of it)" in found.reason
    across = target + 0.015 * np.where(np.arange(1000) < 500, 1.0, -1.0)
    aside = verdict_of(across, target)
    assert aside.word == "unbiased" and "there is a bias of 0.015 (95 % interval 0.01" in aside.reason
    assert "there is a bias" not in verdict_of(target, target).reason


@pytest.mark.parametrize("seed", range(12))
def test_whatever_bias_is_shown_beside_unbiased_is_described(seed):
    """One coordinate of many that is wrong, some that are, or all by a little, in a random direction."""
    rng = np.random.default_rng(seed)
    dim, some = int(rng.choice([20, 300, 3000])), int(rng.choice([1, 3, 20]))
    target = rng.standard_normal(dim) * 10 ** rng.uniform(-6, 6)
    bias = np.zeros(dim)
    bias[rng.choice(dim, some, replace=False)] = rng.standard_normal(some)
    bias *= rng.uniform(0.008, 0.017) * np.linalg.norm(target) / np.linalg.norm(bias)
    found = verdict_of(target + bias, target, 0.01 * float(np.linalg.norm(target)) / dim**0.5)
    assert found.word == "unbiased" and found.p is not None and found.p < 1e-5, found.reason
    said = re.search(r"there is a bias of (\S+) \(95 % interval (\S+) to (\S+)\)", found.reason)
    assert said, found.reason
    low, high, truth = float(said[2]), float(said[3]), float(np.linalg.norm(bias) / np.linalg.norm(target))
    assert 0.9 * low <= truth <= 1.1 * high and low <= float(said[1]) <= high
    worst, half = int(np.abs(bias).argmax()), dim // 2
    where = f"bias[{worst}]" if worst < half else f"weight[{worst - half}]"
    assert some > 1 or f"the worst coordinate is {where} " in found.reason


def chunks(draw, number: int, dim: int = 1) -> str | None:
    kept = Replicates({"all": slice(0, dim)}, None, None)
    for _ in range(number):
        kept.add(draw())
    return dependent(kept.block("all"), 1e-12)


@pytest.mark.parametrize(("chunk", "number"), [(8192, 4), (1024, 16), (256, 32)])
def test_a_shock_that_a_chunk_shares_is_found(chunk, number):
    torch.manual_seed(3)
    found = chunks(lambda: 0.05 * torch.randn(1, 1) + 0.3 * torch.randn(chunk, 3), number, 3)
    assert found and "depend on each other" in found


def walk_along(rows: int, dim: int) -> torch.Tensor:
    """Each replicate is 0.9 of the one before it, and noise."""
    x = torch.randn(rows, dim)
    for row in range(1, rows):
        x[row] = 0.9 * x[row - 1] + 0.19**0.5 * x[row]
    return x


SHOCKS = {
    "added to all": lambda m, d: 0.1 * torch.randn(1, 1) + 0.3 * torch.randn(m, d),
    "added to one coordinate": lambda m, d: torch.randn(m, d) + 0.3 * torch.randn(1, 1) * (torch.arange(d) == d // 2),
    "one in each coordinate": lambda m, d: torch.randn(m, d) + 0.3 * torch.randn(1, d),
    "heavy-tailed": lambda m, d: 0.1 * torch.distributions.StudentT(3.0).sample((1, 1)) + 0.3 * torch.randn(m, d),
    "of two values": lambda m, d: 0.2 * torch.randn(1, 1).sign() + torch.randn(m, d),
    "a factor of the mean": lambda m, d: (1 + 0.2 * torch.randn(1, 1)) * (1 + 0.3 * torch.randn(m, d)),
    "a tenth is one draw": lambda m, d: torch.where(
        torch.arange(m)[:, None] < m / 10, torch.randn(1, d), torch.randn(m, d)
    ),
    "few draws, repeated": lambda m, d: torch.randn(m // 8, d).repeat(8, 1),
    "neighbours are alike": walk_along,
    "mirrored": lambda m, d: torch.cat([x := torch.randn(m // 2, d), -x]) + 0.1 * torch.randn(m, d),
    "skewed noise, one scale": lambda m, d: (0.4 * torch.randn(1, 1)).exp() * torch.empty(m, d).exponential_(),
}
"""Chunks of m replicates in d coordinates that share something."""


@pytest.mark.parametrize("dim", [1, 20])
@pytest.mark.parametrize("kind", SHOCKS)
def test_every_kind_of_dependence_in_a_chunk_is_found(kind, dim):
    torch.manual_seed(7)
    found = chunks(lambda: SHOCKS[kind](256, dim), 64, dim)
    assert found and "depend on each other" in found


def test_shared_draws_and_mirrored_draws_are_found():
    torch.manual_seed(4)
    assert chunks(lambda: torch.randn(1, 2).expand(256, 2) + 0.1 * torch.randn(256, 2), 16, 2)

    def mirrored() -> torch.Tensor:
        half = torch.randn(128, 2)
        return torch.cat([half, -half])

    found = chunks(lambda: mirrored() + 1e-3 * torch.randn(256, 2), 16, 2)
    assert found and "as much as means of independent replicates" in found


@pytest.mark.parametrize("noise", sorted(NOISES))
def test_independent_estimates_are_not_called_dependent(noise):
    """The nominal chance of one alarm is 1e-7; here 16 times 16 chunks of each noise."""
    torch.manual_seed(5)
    for dim in (1, 20):
        assert not any(chunks(lambda dim=dim: NOISES[noise].draw(256, dim), 16, dim) for _ in range(8))


def shocked(seed: int) -> str:
    """The verdict on replicates with a common shock per chunk."""

    def draw(index: int) -> torch.Tensor:
        torch.manual_seed(1000 * seed + index)
        return 1 + 0.05 * torch.randn(1, 1) + 0.3 * torch.randn(4096, 1, dtype=torch.float64)

    kept = Replicates({"all": slice(0, 1)}, np.ones(1), np.zeros(1))
    return (
        Sampling(draw, 4096, kept, AccuracySettings(max_replicates=262_144), control=known_control).run().verdict.reason
    )


def test_dependent_replicates_get_no_verdict():
    assert all("depend on each other" in shocked(seed) for seed in range(10))


def test_a_wrong_reference_is_told_from_rare_events_where_the_objective_is_smooth():
    problem = Problem(distributions.get("normal", size=2), objectives.get("linear"), "natural")
    exact = reference(problem)
    assert exact is not None
    shifted = replace(exact, gradient={name: 1.05 * value for name, value in exact.gradient.items()})
    assert outcome(problem, "reparameterisation", 16, exact=shifted).verdict == "biased"
