"""Finite steps in z stay inside q's support: right and finite where f is not defined outside."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Beta, Dirichlet, Independent, Normal, Uniform

import estimators
from bench.validation.torch_offers.measure import functions, slopes
from bench.validation.torch_offers.subjects import SUBJECTS, Subject
from estimators import Function, unmet
from estimators.tools.edges import ends_of_support, step_inside

STEPPING = ["spsa", "finite_differences"]


def objective(subject: Subject) -> Function:
    """A bounded smooth function of the draws, and NaN outside the support or on its edge."""
    low, high = ends_of_support(
        subject.build({n: torch.tensor(v, dtype=torch.float64) for n, v in subject.ordinary.items()})
    )
    tensor, _ = functions(subject.law(subject.ordinary))[0]

    def inside(z: Tensor) -> Tensor:
        if low is not None:
            z = torch.where(z > low, z, torch.nan)
        if high is not None:
            z = torch.where(z < high, z, torch.nan)
        return tensor(subject.project(z))

    return Function(inside)


def bounded(subject: Subject) -> bool:
    """Whether it has an edge, and a path."""
    q = subject.build({n: torch.full((2,), v, dtype=torch.float64) for n, v in subject.ordinary.items()})
    return ends_of_support(q) != (None, None) and all(
        unmet(estimators.get(name), q, Function(lambda z: z), 1) is None for name in STEPPING
    )


BOUNDED = {each.kind.__name__: each for each in SUBJECTS if bounded(each)}
MOVING = {"Uniform", "Pareto", "GeneralizedPareto"}
"""Whose edge moves with θ: f is NaN beyond the edge at θ, where a path may not lead."""


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("estimator", STEPPING)
@pytest.mark.parametrize("name", BOUNDED)
def test_steps_stay_inside_the_support_and_the_gradient_is_right(name: str, estimator: str, dtype: torch.dtype) -> None:
    """The bias of a central difference is O(step²): at a hundredth of the draws' width it is below 1e-3."""
    subject = BOUNDED[name]
    law = subject.law(subject.ordinary)
    narrow = law.quantile(0.9) - law.quantile(0.1)
    replicates = 40_000
    given = {k: torch.full((replicates,), v, dtype=dtype) for k, v in subject.ordinary.items()}
    theta = {k: value.requires_grad_() for k, value in given.items() if k not in subject.fixed}
    torch.manual_seed(5)
    value = estimators.get(estimator, step=0.05 * narrow).surrogate(subject.build(given), objective(subject), 1)
    found = torch.autograd.grad(value.sum(), list(theta.values()))
    assert value.isfinite().all()
    (truth,) = slopes(subject, subject.ordinary, [functions(law)[0][1]])
    for key, g in zip(theta, found, strict=True):
        assert g.isfinite().all()
        error = float(g.double().std()) / replicates**0.5
        assert abs(float(g.double().mean()) - truth[key]) < 6 * error + 5e-3 * (abs(truth[key]) + float(g.abs().mean()))


def test_the_classes_with_an_edge_are_walked() -> None:
    assert {"Beta", "Exponential", "Gamma", "Uniform", "Dirichlet", "LogNormal", "HalfNormal"} <= BOUNDED.keys()


@pytest.mark.parametrize("estimator", STEPPING)
@pytest.mark.parametrize(
    "made",
    [
        lambda: Independent(Beta(torch.full((3,), 0.02), torch.full((3,), 0.02)), 1),
        lambda: Dirichlet(torch.full((5,), 0.01)),
        lambda: Independent(Uniform(torch.zeros(2), torch.full((2,), 1e-30)), 1),
    ],
    ids=["Beta", "Dirichlet", "Uniform"],
)
def test_draws_on_the_edge_or_next_to_it_are_no_nan(estimator: str, made: Callable[[], Independent]) -> None:
    """f is finite on the edge itself, where draws of small concentrations are by rounding, and NaN beyond."""
    q = made()
    low, high = 0.0, float(torch.as_tensor(ends_of_support(q)[1]).max())
    f = Function(lambda z: torch.where((z < low) | (z > high), torch.nan, z).square().sum(-1))
    torch.manual_seed(0)
    assert estimators.get(estimator).surrogate(q, f, 2000).isfinite()
    z = q.sample((2000,))
    step = step_inside(0.1, q, z)
    assert isinstance(step, Tensor)
    assert (z - step >= low).all() and (z + step <= high).all()


def test_without_an_edge_the_step_is_the_number() -> None:
    assert step_inside(0.1, Normal(0.0, 1.0), torch.zeros(3)) == 0.1
