"""`grpo`, `group_mean`, `off_policy_clipped` and `rloo` share their formulas with the losses over rollouts.

The formulas that they had before stand here, and the numbers are equal to rounding.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import estimators
from estimators.baselines import ScoreFunction
from estimators.off_policy import Reweighted
from estimators.policy import preset
from estimators.tools.groups import apart_from_mean, deviation_of, over_scale
from tests.support.cases import EVERY, single

DOUBLE, SINGLE = torch.float64, torch.float32


def old_group_mean(value: Tensor) -> Tensor:
    return value - value.mean(0)


def old_left_out(value: Tensor) -> Tensor:
    return value - (value.sum(0) - value) / (len(value) - 1)


def old_grpo(value: Tensor) -> Tensor:
    apart = value - value[0]
    apart = apart - apart.mean(0)
    widest = apart.abs().amax(0)
    differ = widest > 8 * torch.finfo(value.dtype).eps * value.abs().amax(0)
    apart = apart / torch.where(differ, widest, 1)
    scale = (apart.square().sum(0) / (len(value) - 1)).sqrt()
    return torch.where(differ, apart / torch.where(differ, scale, 1), 0)


def old_clipped(ratio: Tensor, value: Tensor, clip: float = 0.2) -> Tensor:
    advantage = old_left_out(value)
    return torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)


OLD: dict[str, Callable[[Tensor], Tensor]] = {"group_mean": old_group_mean, "grpo": old_grpo, "rloo": old_left_out}


def groups(dtype: torch.dtype) -> dict[str, Tensor]:
    """Values of f, `[5, 64]`: of size 1, large, tiny, far from 0, right or wrong, equal, and equal up to rounding."""
    draw = torch.Generator().manual_seed(0)
    normal = torch.randn(5, 64, generator=draw, dtype=DOUBLE).to(dtype)
    power = 150 if dtype == DOUBLE else 25
    return {
        "normal": normal,
        "large": normal * 10.0**power,
        "tiny": normal * 10.0**-power,
        "far": normal + 1000,
        "right_or_wrong": (normal > 0.5).to(dtype),
        "equal": torch.full_like(normal, 0.1),
        "rounding": 0.1 * (1 + 2 * torch.finfo(dtype).eps * normal.sign()),
    }


@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=str)
@pytest.mark.parametrize("name", OLD)
def test_coefficients_are_those_of_the_old_formula(name, dtype):
    estimator = estimators.get(name)
    assert isinstance(estimator, ScoreFunction)
    for case, value in groups(dtype).items():
        close = 16 * torch.finfo(dtype).eps * (1 if name == "grpo" else float(value.abs().max()))
        torch.testing.assert_close(
            estimator.coefficient(value), OLD[name](value), rtol=0, atol=close, msg=lambda m, case=case: f"{case}: {m}"
        )


@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=str)
def test_the_clipped_gain_is_that_of_the_old_formula(dtype):
    estimator = estimators.get("off_policy_clipped")
    assert isinstance(estimator, Reweighted)
    for value in groups(dtype).values():
        ratio = torch.rand(5, 64, generator=torch.Generator().manual_seed(1), dtype=DOUBLE).to(dtype) * 2
        new, old = (
            torch.func.vjp(lambda r, f=f, value=value: f(r, value), ratio) for f in (estimator.gain, old_clipped)
        )
        torch.testing.assert_close(new[0], old[0], rtol=0, atol=0)
        torch.testing.assert_close(new[1](torch.ones_like(ratio)), old[1](torch.ones_like(ratio)), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=str)
@pytest.mark.parametrize("case", ["bits", "one_hot", "normal"])
@pytest.mark.parametrize("name", [*OLD, "off_policy_clipped"])
def test_estimates_are_those_of_the_old_formula(name, case, dtype, monkeypatch):
    problem = EVERY[case] if dtype == DOUBLE else single(EVERY[case], SINGLE)
    estimator = estimators.get(name)
    new = gradients(estimator, problem)
    if name == "off_policy_clipped":
        monkeypatch.setattr(type(estimator), "gain", lambda self, ratio, value: old_clipped(ratio, value))
    else:
        monkeypatch.setattr(type(estimator), "coefficient", lambda self, value: OLD[name](value))
    old = gradients(estimator, problem)
    for key, each in new.items():
        close = 64 * torch.finfo(dtype).eps * float(old[key].abs().max())
        torch.testing.assert_close(each, old[key], rtol=0, atol=close)


def gradients(estimator: estimators.Estimator, problem: Any) -> dict[str, Tensor]:
    """50 estimates of four draws by parameter, from a fixed seed."""
    build, parameters, f = problem
    leaves = {key: value.expand(50, *value.shape).clone() for key, value in parameters.items()}
    torch.manual_seed(0)
    return torch.func.grad(lambda v: estimator.surrogate(build(**v), f, 4).sum())(leaves)


@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=str)
def test_advantages_of_the_presets_are_those_of_the_estimators(dtype):
    grpo, group_mean = preset("grpo", kl="none", beta=0.0), preset("dr_grpo")
    for value in groups(dtype).values():
        rewards = value.T.unsqueeze(-2)  # 64 replicates of one prompt with five rollouts
        eps = torch.finfo(dtype).eps
        far = float(value.abs().max())
        spread = float((value - value.mean(0)).std(0).min()) or 1.0
        torch.testing.assert_close(
            group_mean.advantages(rewards)[:, 0].T, old_group_mean(value), rtol=0, atol=16 * eps * far
        )
        loose = 16 * eps * max(1.0, far / spread)
        torch.testing.assert_close(grpo.advantages(rewards)[:, 0].T, old_grpo(value), rtol=0, atol=loose)


@pytest.mark.parametrize("name", OLD)
def test_values_that_are_nan_or_infinite_are_seen(name):
    """Coefficients of their group are not finite, NaN if all values are; those of other groups are as they were."""
    value = groups(DOUBLE)["normal"]
    for bad in (torch.nan, torch.inf):
        broken = value.clone()
        broken[1, 3] = bad
        found = estimators.get(name).coefficient(broken)  # type: ignore[attr-defined]
        assert not found[:, 3].isfinite().any()
        right = estimators.get(name).coefficient(value)  # type: ignore[attr-defined]
        others = torch.arange(64) != 3
        torch.testing.assert_close(found[:, others], right[:, others], rtol=0, atol=0)
    alike = torch.full((4, 2), torch.nan)
    assert estimators.get(name).coefficient(alike).isnan().all()  # type: ignore[attr-defined]


def test_another_formula_is_told_apart():
    """Mutants of the shared formula: n for n − 1, the plain mean for the others' mean, NaN taken for equal values."""
    value = groups(DOUBLE)["normal"]
    assert old_grpo(torch.full((4, 2), torch.nan)).isfinite().all()
    apart = apart_from_mean(value)
    mutant = over_scale(apart, deviation_of(apart, torch.zeros_like(value[:1]), bessel=False))
    assert (mutant - old_grpo(value)).abs().max() > 0.01
    assert (estimators.get("group_mean").coefficient(value) - old_left_out(value)).abs().max() > 0.01  # type: ignore[attr-defined]
