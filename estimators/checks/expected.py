"""The checks that an estimator of this package is expected to fail, each with the reason."""

from estimators.checks.named import Expected
from estimators.core import Estimator

SMALL = {"declared_bias": "its bias is of the order c², which a test of this size cannot see"}

EXPECTED: dict[str, Expected] = {
    "finite_differences": SMALL,
    "spsa": SMALL,
    "ar": {"no_noisier_than_reinforce": "the score of a uniform is larger than that of the bit"},
}
"""Expected failures by registered name."""


def expected_failures(estimator: Estimator) -> Expected:
    """Returns the checks that this estimator must fail, each with the reason.

    >>> import estimators
    >>> list(expected_failures(estimators.get("spsa")))
    ['declared_bias']
    """
    return EXPECTED.get(getattr(estimator, "name", ""), {})
