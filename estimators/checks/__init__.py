"""Conformance of an estimator: does it keep the contract, and are its claims true? As a generator of checks.

In a test of your own: `check_estimator(MyEstimator())`, or one test per check:

    @parametrize_with_checks([MyEstimator(), MyEstimator(temperature=2.0)])
    def test_my_estimator(estimator, check):
        check(estimator)

A check that an estimator must fail, and why, is named in `expected_failures`; when it passes all the same, that
is a failure too.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from estimators.checks import claims, contract
from estimators.checks.failure import CheckFailed
from estimators.checks.named import Expected, Seeded, SubjectCheck, named, parametrized
from estimators.core import Estimator

__all__ = ["CheckFailed", "check_estimator", "estimator_checks", "parametrize_with_checks"]

CHECKS: tuple[Seeded, ...] = (
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
    estimator: Estimator, *, seed: int = 0, expected_failures: Expected | None = None
) -> Iterator[tuple[str, SubjectCheck]]:
    """Every check by name; each is called with the estimator and raises `CheckFailed` with the numbers.

    >>> import estimators
    >>> names = [name for name, check in estimator_checks(estimators.get("rloo"))]
    >>> names[:2]
    ['frozen_and_hashable', 'traits']
    """
    return named(CHECKS, seed, expected_failures)


def check_estimator(estimator: Estimator, *, seed: int = 0, expected_failures: Expected | None = None) -> None:
    """Run every check; the first that fails raises `CheckFailed`.

    >>> import estimators
    >>> check_estimator(estimators.get("reinforce"))
    """
    for _, check in estimator_checks(estimator, seed=seed, expected_failures=expected_failures):
        check(estimator)


def parametrize_with_checks(
    instances: Sequence[Estimator], *, expected_failures: Callable[[Estimator], Expected] | None = None
) -> Any:
    """A pytest decorator: the test is called with `(estimator, check)` for every estimator and check."""
    return parametrized("estimator", instances, estimator_checks, expected_failures)
