"""Which estimators stay right when f draws its own noise: those that are linear in f's values and slopes.

With the draws fixed, the estimate must be an affine function of the size of the noise. The mean over noise of mean zero
is then the estimate without noise, whatever the law of the noise.
"""

from copy import copy

import pytest
import torch
from torch import Tensor

import estimators
from estimators import Fitted, Need, Objective, unmet
from estimators.checks.cases import CASES, Case, as_vectors, draws, fitting_cases, truth
from estimators.needs import NONLINEAR, OF_SETS, needs_of

INNER = ("function", "log_joint", "terms", "reward")
"""Attributes in which the objectives of the cases hold their function of z."""
NAMES = estimators.available()
BY_MEAN = {"rodeo"}
"""Estimators in which noise passes through a network, in terms that have mean 0 whatever the network predicts."""


def with_noise(f: Objective, size: float) -> Objective:
    """f plus size × (e₀ + e₁·z + e₂·z²) at every call and every draw, the same e's at every size."""
    twin = copy(f)
    name = next(each for each in INNER if each in vars(f))
    function, generator = vars(f)[name], torch.Generator().manual_seed(0)

    def noised(z: Tensor) -> Tensor:
        value = function(z)
        level, slope, bend = (torch.randn(z.shape, generator=generator, dtype=z.dtype) for _ in range(3))
        noise = (level + slope * z + bend * z.square()).flatten(value.dim() - (name == "terms")).sum(-1)
        return value + size * (noise.unsqueeze(-1) if name == "terms" else noise)

    setattr(twin, name, noised)
    return twin


def estimate(name: str, case: Case, size: float) -> Tensor:
    """One estimate of the gradient, with the same draws at every size of the noise."""
    theta = {key: value.clone().requires_grad_() for key, value in case.at().items()}
    estimator, n = estimators.get(name), 4 * draws(estimators.get(name))
    torch.manual_seed(1)
    if isinstance(estimator, Fitted):
        estimator = estimator.fit(case.q(), case.f, n, 3)
    estimator.surrogate(case.build(**theta), with_noise(case.f, size), n).sum().backward()
    return torch.cat([value.grad.flatten() for value in theta.values() if value.grad is not None])


def bend(name: str, case: Case) -> float:
    """How far the estimate is from affine in the size of the noise, relative to its size."""
    none, once, twice = (estimate(name, case, size) for size in (0.0, 3.0, 6.0))
    assert not torch.equal(none, once), "no noise reached the estimate"
    return float((twice - 2 * once + none).norm() / (twice.norm() + none.norm()))


def own_cases(name: str) -> list[Case]:
    return [case for case in fitting_cases(estimators.get(name)) if any(each in vars(case.f) for each in INNER)]


@pytest.mark.parametrize("name", sorted(set(NAMES) - BY_MEAN))
def test_an_estimator_is_linear_in_the_values_of_f_or_needs_an_f_without_noise(name):
    cases = own_cases(name)
    assert cases
    bends = [bend(name, case) for case in cases]
    if Need.DETERMINISTIC in needs_of(estimators.get(name)) and not estimators.get(name).traits.exact:
        assert max(bends) > 1e-3, "linear after all: it may run on noisy objectives"
    else:
        assert max(bends) < 1e-9


@pytest.mark.parametrize("name", sorted(BY_MEAN))
def test_the_mean_of_estimators_that_are_not_linear_is_the_gradient_under_noise(name):
    case, estimator = own_cases(name)[0], estimators.get(name)
    torch.manual_seed(2)
    fitted = estimator.fit(case.q(), with_noise(case.f, 3.0), 4, 20) if isinstance(estimator, Fitted) else estimator
    theta = {key: value.clone().requires_grad_() for key, value in case.at(20_000).items()}
    fitted.surrogate(case.build(**theta), with_noise(case.f, 3.0), 4).sum().backward()
    rows = as_vectors({key: value.grad for key, value in theta.items() if value.grad is not None}, 1)
    off = (rows.mean(0) - truth(case)[1]) / (rows.std(0) / len(rows) ** 0.5)
    assert bend(name, case) > 1e-3 and off.abs().max() < 6


def test_noisy_objectives_refuse_what_is_not_linear_in_them():
    refused = set()
    for case in CASES:
        noisy = copy(case.f)
        noisy.noisy = True
        for name in NAMES:
            estimator = estimators.get(name)
            before, after = (unmet(estimator, case.q(), f, draws(estimator)) for f in (case.f, noisy))
            if before is None and after is not None:
                assert after == f"needs {Need.DETERMINISTIC.sentence}"
                refused.add(name)
    sets = {name for name in NAMES if OF_SETS & estimators.get(name).traits.needs}
    assert refused == NONLINEAR | sets | {"exact"}


def test_a_wrapper_needs_what_its_inner_estimator_needs():
    ranked = estimators.get("antithetic", inner=estimators.get("grpo"))
    assert Need.DETERMINISTIC in needs_of(ranked)
    assert Need.DETERMINISTIC not in needs_of(estimators.get("antithetic"))
