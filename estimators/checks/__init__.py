"""Conformance checks of an estimator: whether it keeps the contract, and whether its claims are true.

In your own tests: `check_estimator(MyEstimator())`, or one test per check:

    @parametrize_with_checks([MyEstimator(), MyEstimator(temperature=2.0)])
    def test_my_estimator(estimator, check):
        check(estimator)

`expected_failures` names the checks that an estimator must fail, each with the reason. If such a check passes, that is
a failure too.
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
    """Yields every check as (name, function). The function takes the estimator and raises `CheckFailed` on failure.

    Raises `ValueError` if `expected_failures`, reasons by check name, contains an unknown check.

    >>> import estimators
    >>> names = [name for name, check in estimator_checks(estimators.get("rloo"))]
    >>> names[:2]
    ['frozen_and_hashable', 'traits']
    """
    return named(CHECKS, seed, expected_failures)


def check_estimator(estimator: Estimator, *, seed: int = 0, expected_failures: Expected | None = None) -> None:
    """Runs every check. Raises `CheckFailed` at the first failure; arguments as in `estimator_checks`.

    >>> import estimators
    >>> check_estimator(estimators.get("reinforce"))
    """
    for _, check in estimator_checks(estimator, seed=seed, expected_failures=expected_failures):
        check(estimator)


def parametrize_with_checks(
    instances: Sequence[Estimator], *, expected_failures: Callable[[Estimator], Expected] | None = None
) -> Any:
    """Returns a pytest decorator that calls the test with `(estimator, check)` for every estimator and check."""
    return parametrized("estimator", instances, estimator_checks, expected_failures)
