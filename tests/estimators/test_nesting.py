"""Every unbiased estimator as the outer and as the inner one of two, against exact gradients.

Outside, it works on an objective that is an estimate itself. Inside, the outer path differentiates its surrogate in the
draw that q₂ and f depend on: a gradient that no other test asks for.
"""

from functools import cache

import pytest
import torch
from torch import Tensor

import estimators
from estimators import get, unmet
from estimators.checks.cases import draws
from estimators.joint import Joint, JointFunction
from estimators.nested import Layer, Nested, PerVariable
from tests.support.cases import double
from tests.support.several_variables import (
    Several,
    Tensors,
    bits,
    each,
    estimates,
    exact_gradient,
    normal,
    one_hot,
    times,
)

REPLICATES = 6000
ERRORS = 6.5
"""Standard errors that a mean may be off: a false alarm has a chance of 1e-10 per coordinate."""
KINDS = ("bits", "one-hot", "normal")
STARTS: dict[str, Tensors] = {
    "bits": {"logits": double(-0.8, 0.4)},
    "one-hot": {"logits": double(0.5, -0.3, 0.1)},
    "normal": {"loc": double(0.3, -0.5), "scale": double(0.7, 0.9)},
}
SIZES = {"bits": 2, "one-hot": 3, "normal": 2}
NOT_HERE = {
    *("generalised_reparameterisation", "rejection_reparameterisation"),  # Gammas
    *("downstream", "sticking_the_landing"),  # an objective of terms, an evidence
    *(
        "importance_pathwise",
        "importance_reinforce",
        "multi_sample_disarm",
        "ovis",
        "ovis_asymptotic",
        "vimco",
    ),  # bounds
    *("set_pathwise", "set_reinforce", "set_rloo", "subset_score"),  # objectives of sets
    *("doubly_reparameterised", "antithetic_evolution_strategy", "evolution_strategy", "smoothing"),  # a fixed scale
}


def first(kind: str, p: Tensors):
    make = {"bits": bits, "one-hot": one_hot}
    return make[kind](p["logits"]) if kind in make else normal(p["loc"], p["scale"])


def second(kind: str, at: Tensor):
    return {"bits": bits, "one-hot": one_hot}[kind](at) if kind != "normal" else normal(at, 0.8)


def value(a: Tensor, b: Tensor) -> Tensor:
    return (a.sum(-1) * 0.5 - b[..., 0] + 1.3 * b[..., 1] * a[..., 0]).square() + (a[..., 1] + b[..., 1]).sin()


@cache
def outside(kind: str) -> tuple[Several, Tensor]:
    """The kind, then Normals around it."""
    theta = STARTS[kind] | {"W": torch.linspace(-0.8, 1.1, 2 * SIZES[kind], dtype=torch.float64).reshape(2, -1)}
    return of_two(theta, lambda p: Joint([first(kind, p), lambda a: second("normal", times(a, p["W"]))]))


@cache
def inside(kind: str) -> tuple[Several, Tensor]:
    """A Normal, then the kind, whose logits or mean it moves."""
    theta = {"loc": double(0.4, -0.2), "scale": double(0.6, 0.8)}
    theta["W"] = torch.linspace(-0.9, 1.0, 2 * SIZES[kind], dtype=torch.float64).reshape(-1, 2)
    return of_two(theta, lambda p: Joint([first("normal", p), lambda a: second(kind, times(a, p["W"]))]))


def of_two(theta: Tensors, build) -> tuple[Several, Tensor]:
    model = Several("two", theta, build, JointFunction(value), each("rloo", "rloo"))
    return model, exact_gradient(model)


def fits(name: str, kind: str) -> bool:
    """Whether the estimator runs on a nested objective of this kind."""
    f = Nested(value, Layer(lambda a: normal(a[..., :2], 1.0), get("reparameterisation")))
    return unmet(get(name), first(kind, STARTS[kind]), f, draws(get(name))) is None


SECOND = ("delta_method", "taylor_pathwise")
"""They need a second derivative, which a nested objective does not have; inside they run."""
UNBIASED = [name for name in estimators.available() if get(name).traits.unbiased]
PAIRS = [(name, kind) for name in UNBIASED for kind in KINDS if fits(name, kind)]


def off(model: Several, exact: Tensor, estimator: PerVariable, n: int) -> float:
    torch.manual_seed(0)
    rows = estimates(model, estimator, n, REPLICATES)
    error = rows.std(0) / len(rows) ** 0.5
    return float(((rows.mean(0) - exact).abs() / error.clamp_min(1e-9)).max())


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_outside(name, kind):
    estimator = PerVariable([get(name), get("reparameterisation")])
    assert off(*outside(kind), estimator, draws(get(name))) < ERRORS


@pytest.mark.parametrize(("name", "kind"), [*PAIRS, *((name, "normal") for name in SECOND)])
def test_inside(name, kind):
    estimator = PerVariable([get("reparameterisation"), get(name)], [draws(get(name))])
    assert off(*inside(kind), estimator, 1) < ERRORS


def test_the_exact_sum_runs_outside_too():
    assert off(*outside("bits"), each("exact", "reparameterisation"), 1) < ERRORS
    assert off(*inside("one-hot"), each("reparameterisation", "exact"), 1) < ERRORS


def test_every_unbiased_estimator_is_here():
    assert set(UNBIASED) - {name for name, _ in PAIRS} == NOT_HERE | {"exact", *SECOND}
