"""Values of f that are all equal, or differ by rounding alone, say nothing of θ.

The estimate is 0 to rounding, or noise around 0 where an estimator has no baseline.
"""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent

import estimators
from estimators import Estimator, Evidence, Function, ImportanceBound, Objective, OrderStatistics, Terms
from estimators.baselines import GroupRelative
from estimators.control_variates import flat
from estimators.core import Fitted
from estimators.evolution import mean_ranks
from estimators.registry import estimators as registry
from tests.support.cases import EVERY, bits, fitting, single
from tests.support.exactness import estimates

SCORE = "the score times f, without a baseline"
DIRECT_TERM = "the direct term, −∇ log q at a fixed draw, is noise"
NOISY = {
    "antithetic": "its inner estimator is REINFORCE",
    "ar": SCORE,
    "dice": SCORE,
    "downstream": SCORE,
    "generalised_reparameterisation": SCORE,
    "importance_reinforce": SCORE,
    "lax": "unfitted, its control variate is 0",
    "moving_average": "unfitted, its baseline is 0",
    "nvil": "unfitted, its baseline is 0",
    "off_policy": SCORE,
    "priority_sampling": SCORE,
    "quasi_monte_carlo": "its inner estimator is REINFORCE",
    "reinforce": SCORE,
    "rejection_reparameterisation": SCORE,
    "stratified": SCORE,
    "set_reinforce": SCORE,
    "sum_and_sample": SCORE,
    "systematic": SCORE,
    "top_and_sample": SCORE,
}
"""Estimators whose estimate on a constant f other than 0 is noise around 0, with the reason."""
NOISY_ON_BOUNDS = dict.fromkeys(
    (
        "boundary_pathwise",
        "dice",
        "gapped_straight_through",
        "gumbel_rao",
        "importance_pathwise",
        "importance_reinforce",
        "multi_sample_disarm",
        "ovis",
        "ovis_asymptotic",
        "quadratic_pathwise",
        "reinmax",
        "reparameterisation",
        "set_pathwise",
        "set_reinforce",
        "set_rloo",
        "straight_through",
        "straight_through_gumbel",
        "taylor_pathwise",
        "thermodynamic",
        "vimco",
        "wake",
    ),
    DIRECT_TERM,
)
"""Where f is an evidence or a bound, which holds −log q, noise around 0 whatever the constant, with the reason."""
NOT_CONSTANT = ("gumbel_softmax", "gumbel_sparsemax")
"""They ask an evidence at relaxed draws, where the mean of its direct term is not 0."""
ROUNDED = 8
"""Differences of so many units of f's own rounding say nothing to grpo: of an evidence, log q may round by more."""
EXACTLY_ZERO = ("grpo", "rank_evolution_strategy")
"""Those that divide by the spread of the values, or rank them: rounding has no part in them at all."""


def steps(z: Tensor, q: Distribution) -> Tensor:
    """0, 1 or 2 by z, `[*sample, *batch]`, without a slope."""
    event = flat(z.detach(), q)
    mixed = (event * torch.arange(1, event.shape[-1] + 1).to(z)).sum(-1)
    return (3 * (2.3 * mixed).sin().abs()).floor().clamp_max(2)


def near(c: float, units: int, q0: Distribution, f: Objective) -> Objective:
    """An objective of f's kind whose every value is c, times 1 + k eps with k from 0 to 2·`units`."""

    def level(z: Tensor) -> Tensor:
        return 0 * flat(z, q0).sum(-1) + c * (1 + units * torch.finfo(z.dtype).eps * steps(z, q0))

    if isinstance(f, OrderStatistics):
        return OrderStatistics(level, f.weights, differentiable=f.differentiable)
    if isinstance(f, ImportanceBound):
        return ImportanceBound(lambda z: q0.log_prob(z) + level(z), draws=f.draws)
    if isinstance(f, Evidence):
        return Evidence(lambda z: q0.log_prob(z) + level(z))
    if isinstance(f, Terms):
        return Terms(lambda z: level(z).unsqueeze(-1).expand(*z.shape[:-1], f.depends.shape[0]), f.depends)
    return Function(level)


def sampled(estimator: Estimator, case: str, c: float, units: int, dtype: torch.dtype, replicates: int) -> Tensor:
    """Estimates `[replicates, P]` on a (nearly) constant objective."""
    build, parameters, f = single(EVERY[case], dtype)
    q0 = build(**parameters)
    _, n = fitting(estimator)
    return estimates(estimator, build, parameters, near(c, units, q0, f), n, replicates, seed=5).double()


def says_nothing(name: str, case: str, c: float, units: int, dtype: torch.dtype) -> None:
    """Estimates are finite, and 0 to rounding, or noise whose mean is 0 (|z| < 6.5) where the tables above say so."""
    bound_like = isinstance(EVERY[case][2], Evidence | ImportanceBound)
    noisy = (name in NOISY and c != 0) or (bound_like and name in NOISY_ON_BOUNDS)
    sample = sampled(estimators.get(name), case, c, units, dtype, 1500 if noisy else 200)
    label = f"{case}, f = {c}, {dtype}"
    rounding = 300 * (1 + units) * torch.finfo(dtype).eps * (abs(c) + 5 * bound_like)  # log q is up to 5, and rounds
    assert sample.isfinite().all(), label
    if name in EXACTLY_ZERO and not bound_like:
        assert (sample == 0).all(), f"{label}: {sample.abs().max()}"
    elif noisy:
        error = sample.std(0) / len(sample) ** 0.5
        assert (sample.mean(0).abs() < 6.5 * error + rounding).all(), f"{label}: {sample.mean(0)} ± {error}"
        assert (sample != 0).any(), f"{label}: there is no noise; {name} does not belong into the table"
    else:
        unresolved = name == "grpo" and bound_like and ROUNDED * abs(c) < 5  # log q rounds by more than c shows
        assert unresolved or (sample.abs() <= rounding).all(), f"{label}: {sample.abs().max():.1e} > {rounding:.1e}"


def cases_of(name: str) -> list[str]:
    """The cases that an estimator fits, with an objective that can be made constant."""
    found = fitting(estimators.get(name))[0]
    return [case for case in found if name not in NOT_CONSTANT or not isinstance(EVERY[case][2], Evidence)]


@pytest.mark.parametrize("name", estimators.available())
def test_values_that_agree_say_nothing(name):
    for case in cases_of(name)[:3]:
        says_nothing(name, case, 0.1, 0, torch.float64)
        says_nothing(name, case, 1e4, 1, torch.float32)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", estimators.available())
def test_values_that_agree_say_nothing_anywhere(name, dtype):
    for case in cases_of(name):
        for c in (0.0, 0.1, 1e4, -7 / 3):
            for units in (0, 1, 2):
                says_nothing(name, case, c, units, dtype)


@pytest.mark.parametrize("name", [name for name, cls in registry if issubclass(cls, Fitted)])
def test_what_is_fitted_to_equal_values_is_finite(name):
    """No division by the variance of what does not vary."""
    case = cases_of(name)[0]
    build, parameters, f = EVERY[case]
    q = build(**parameters)
    constant = near(0.1, 0, q, f)
    n = fitting(estimators.get(name))[1]
    torch.manual_seed(0)
    estimator = estimators.get(name)
    assert isinstance(estimator, Fitted)
    fitted = estimator.fit(q, constant, n, 5)
    assert fitted.state
    assert all(value.isfinite().all() for value in fitted.state.values())
    assert estimates(fitted, build, parameters, constant, n, 100).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [2, 3, 5, 64, 1000])
@pytest.mark.parametrize("c", [0.1, -7 / 3, 1e4, 1e-30])
def test_equal_values_have_no_spread(c, n, dtype):
    value = torch.full((n,), c, dtype=dtype)
    up = torch.nextafter(value, torch.full_like(value, math.inf))
    for values in (value, torch.where(torch.arange(n) % 3 == 0, up, value)):
        assert (GroupRelative().coefficient(values) == 0).all()
        assert (mean_ranks(values) == (n - 1) / 2).all()


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_a_spread_that_is_there_is_divided_by_at_any_size(scale):
    """Published code divides by std + ε: with ε → 0 the coefficients of 1, 2, 4 are those of any multiple."""
    value = scale * torch.tensor([1.0, 2.0, 4.0])
    expected = torch.tensor([-4.0, -1.0, 5.0]) / 21**0.5
    torch.testing.assert_close(GroupRelative().coefficient(value), expected)
    few = torch.tensor([1.0, 1 + 100 * torch.finfo(torch.float32).eps])
    torch.testing.assert_close(GroupRelative().coefficient(few), torch.tensor([-1.0, 1.0]) / 2**0.5)


@pytest.mark.parametrize(("logit", "n", "right"), [(2.0, 10, 0.24339), (0.0, 5, 0.38566)])
def test_grpo_has_the_mean_that_enumeration_gives(logit, n, right):
    """One bit, (b − 0.45)²: k ones of n give √(k(n−k)(n−1)/n³) where both values occur, and 0 where one does."""
    t = 1 / (1 + math.exp(-logit))
    chance = [math.comb(n, k) * t**k * (1 - t) ** (n - k) for k in range(n + 1)]
    exact = sum(p * math.sqrt(k * (n - k) * (n - 1) / n**3) for k, p in enumerate(chance))
    assert round(exact, 5) == right
    build = {"logits": torch.tensor([logit], dtype=torch.float64)}
    f = Function(lambda b: (b[..., 0] - 0.45).square())
    sample = estimates(GroupRelative(), bits, build, f, n, 40_000)
    assert abs(sample.mean() - exact) < 5.5 * sample.std() / len(sample) ** 0.5


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_ranks_of_different_values_are_those_of_sorting(scale):
    torch.manual_seed(0)
    value = scale * torch.randn(7, 50)
    assert torch.equal(mean_ranks(value), value.argsort(0).argsort(0).to(value))
    assert mean_ranks(torch.tensor([3.0, 1.0, 3.0, 1.0, 2.0])).tolist() == [3.5, 0.5, 3.5, 0.5, 2.0]


def test_the_division_by_a_spread_of_rounding_errors_is_seen(monkeypatch):
    """Power: with the deviation's own rounding as its scale, as it was, the walk fails."""

    def coefficient(self: GroupRelative, value: Tensor) -> Tensor:
        apart = value - value.mean(0)
        scale = (apart.square().sum(0) / (len(value) - 1)).sqrt()
        return apart / torch.where(scale == 0, 1, scale)

    monkeypatch.setattr(GroupRelative, "coefficient", coefficient)
    with pytest.raises(AssertionError):
        says_nothing("grpo", "bits", 1e4, 1, torch.float32)


@pytest.mark.parametrize("name", ["rloo", "disarm", "grpo", "structured_local_expectation", "local_expectation"])
def test_values_may_be_booleans(name):
    """A success is 1: the estimates are those of the same objective in floating-point numbers."""

    def estimate(f):
        logits = torch.tensor([0.3, -0.2, 0.8], requires_grad=True)
        torch.manual_seed(0)
        value = estimators.get(name).surrogate(bits_of(logits), Function(f, differentiable=False), 4)
        return torch.autograd.grad(value, logits)[0]

    assert torch.equal(estimate(lambda z: z.sum(-1) > 1), estimate(lambda z: (z.sum(-1) > 1).float()))


def bits_of(logits: Tensor) -> Distribution:
    return Independent(Bernoulli(logits=logits), 1)
