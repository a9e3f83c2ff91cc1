"""Every registered estimator passes the checks; a check that must fail is named here with its reason."""

import pytest

import estimators
from estimators.checks import CheckFailed, check_estimator, estimator_checks, parametrize_with_checks
from estimators.core import Estimator

NOISY = "no_noisier_than_reinforce"
EXPECTED = {
    "ar": {NOISY: "the score of a uniform is larger than that of the bit"},
}
"""By estimator: the checks that it must fail, and why."""


def expected(estimator: Estimator) -> dict[str, str]:
    return EXPECTED.get(estimator.name, {})  # type: ignore[attr-defined]


@parametrize_with_checks([estimators.get(name) for name in estimators.available()], expected_failures=expected)
def test_registered(estimator, check):
    check(estimator)


def test_checks_are_named_once_and_run_in_order():
    names = [name for name, _ in estimator_checks(estimators.get("rloo"))]
    assert len(names) == len(set(names)) >= 18 and names[0] == "frozen_and_hashable"


def test_an_expected_failure_that_passes_is_a_failure():
    with pytest.raises(CheckFailed, match="pickle was expected to fail, because I say so; it passes"):
        check_estimator(estimators.get("rloo"), expected_failures={"pickle": "I say so"})


def test_an_expected_failure_must_name_a_check():
    with pytest.raises(ValueError, match="no such check: pickles"):
        list(estimator_checks(estimators.get("rloo"), expected_failures={"pickles": "typing"}))


@pytest.mark.slow
@pytest.mark.parametrize("name", estimators.available())
def test_no_false_alarm_in_200_seeds(name):
    for seed in range(1, 201):
        check_estimator(estimators.get(name), seed=seed, expected_failures=expected(estimators.get(name)))
