"""Checks that an estimator goes through every pass of a sweep: what counts its calls, its tensors and its draws."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from bench.measure.estimates.batching import Sizes
from bench.measure.estimates.calls import counting
from bench.measure.timing.memory import LiveBytes
from bench.measure.timing.random_numbers import Drawn
from estimators.checks.cases import Case, draws, fitting_cases
from estimators.checks.contract import gradients_at
from estimators.checks.failure import CheckFailed, require
from estimators.core import Estimator

FEW_REPLICATES = 3


def check_passes_of_a_sweep(estimator: Estimator, seed: int) -> None:
    """Counted calls, noted sizes, noted draws and measured memory leave the estimates what they are."""
    require_passes(estimator, fitting_cases(estimator), seed)


def require_passes(estimator: Estimator, cases: list[Case], seed: int) -> None:
    """Raises `CheckFailed` where a pass raises on one of these problems, or gives other estimates."""
    n = draws(estimator)
    for case in cases:
        plain = seeded(estimator, case, n, seed)
        for name, watch in PASSES.items():
            try:
                found = watch(estimator, case, n, seed)
            except Exception as error:
                raise CheckFailed(
                    f"{case.name}: the pass that {name} raises {type(error).__name__}: {error}"
                ) from error
            same = torch.allclose(found, plain, rtol=1e-9, atol=1e-12)
            require(same, f"{case.name}: the pass that {name} gives other estimates")


def seeded(estimator: Estimator, case: Case, n: int, seed: int) -> Tensor:
    torch.manual_seed(seed)
    return gradients_at(estimator, case, case.at(FEW_REPLICATES), n)


def tallied(estimator: Estimator, case: Case, n: int, seed: int) -> Tensor:
    """With an objective that keeps a tally of its calls."""
    f, _ = counting(case.f, watched=True)
    return seeded(estimator, Case(case.name, case.build, case.parameters, f), n, seed)


def under(mode: Callable[[], AbstractContextManager[object]]) -> Callable[[Estimator, Case, int, int], Tensor]:
    """With every operation followed."""

    def watch(estimator: Estimator, case: Case, n: int, seed: int) -> Tensor:
        with mode():
            return seeded(estimator, case, n, seed)

    return watch


PASSES = {
    "counts calls": tallied,
    "notes sizes": under(Sizes),
    "notes draws": under(Drawn),
    "measures memory": under(LiveBytes),
}

PASS_CHECKS = (check_passes_of_a_sweep,)
