"""Conformance of an estimator: does it keep the contract, and are its claims true? As a generator of checks.

In a test of your own: `check_estimator(MyEstimator())`, or one test per check:

    @parametrize_with_checks([MyEstimator(), MyEstimator(temperature=2.0)])
    def test_my_estimator(estimator, check):
        check(estimator)

A check that an estimator must fail, and why, is named in `expected_failures`; when it passes all the same, that
is a failure too.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from estimators.checks import claims, contract
from estimators.checks.failure import CheckFailed
from estimators.core import Estimator

__all__ = ["CheckFailed", "check_estimator", "estimator_checks", "parametrize_with_checks"]

Check = Callable[[Estimator], None]

CHECKS: tuple[Callable[[Estimator, int], None], ...] = (
    contract.check_frozen_and_hashable,
    contract.check_traits,
    contract.check_pickle,
    contract.check_needs_are_said,
    contract.check_shape,
    contract.check_dtype,
    contract.check_finite,
    contract.check_inputs_unchanged,
    contract.check_seed,
    contract.check_both_roads,
    contract.check_no_cross_talk,
    contract.check_meta_device,
    claims.check_replicates_are_independent,
    claims.check_value,
    claims.check_gradient_in_f,
    claims.check_unbiased,
    claims.check_unbiased_with_more_draws,
    claims.check_declared_bias,
    claims.check_variance_falls_with_draws,
    claims.check_no_noisier_than_reinforce,
)


def estimator_checks(
    estimator: Estimator, *, seed: int = 0, expected_failures: Mapping[str, str] | None = None
) -> Iterator[tuple[str, Check]]:
    """Every check by name; each is called with the estimator and raises `CheckFailed` with the numbers.

    >>> import estimators
    >>> names = [name for name, check in estimator_checks(estimators.get("rloo"))]
    >>> names[:2]
    ['frozen_and_hashable', 'traits']
    """
    expected = dict(expected_failures or {})
    for check in CHECKS:
        name = check.__name__.removeprefix("check_")
        checked: Check = partial(run, check, seed)
        yield name, partial(_must_fail, checked, name, expected.pop(name)) if name in expected else checked
    if expected:
        raise ValueError(f"no such check: {', '.join(expected)}")


def check_estimator(estimator: Estimator, *, seed: int = 0, expected_failures: Mapping[str, str] | None = None) -> None:
    """Run every check; the first that fails raises `CheckFailed`.

    >>> import estimators
    >>> check_estimator(estimators.get("reinforce"))
    """
    for _, check in estimator_checks(estimator, seed=seed, expected_failures=expected_failures):
        check(estimator)


def parametrize_with_checks(
    instances: Sequence[Estimator], *, expected_failures: Callable[[Estimator], Mapping[str, str]] | None = None
) -> Any:
    """A pytest decorator: the test is called with `(estimator, check)` for every estimator and check."""
    import pytest

    pairs = [
        pytest.param(estimator, check, id=f"{estimator!r}-{name}")
        for estimator in instances
        for name, check in estimator_checks(
            estimator, expected_failures=expected_failures(estimator) if expected_failures else None
        )
    ]
    return pytest.mark.parametrize(("estimator", "check"), pairs)


def run(check: Callable[[Any, int], None], seed: int, subject: Any) -> None:
    """The check, with torch's generator kept and whatever else its subject raises made a finding."""
    with torch.random.fork_rng(devices=[]):
        try:
            check(subject, seed)
        except CheckFailed:
            raise
        except Exception as error:
            raise CheckFailed(f"it raises {type(error).__name__}: {error}") from error


def _must_fail(check: Check, name: str, reason: str, estimator: Estimator) -> None:
    try:
        check(estimator)
    except CheckFailed:
        return
    raise CheckFailed(f"{name} was expected to fail, because {reason}; it passes: remove the expectation")
