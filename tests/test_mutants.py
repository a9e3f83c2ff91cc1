"""Wrong estimators, distributions, objectives, references and statistics are rejected, each by the right check."""

import pytest

from estimators.checks import CheckFailed, estimator_checks
from tests.mutants import MUTANTS


@pytest.mark.parametrize(("mutant", "name"), MUTANTS, ids=[cls.__name__ for cls, _ in MUTANTS])
def test_a_wrong_estimator_is_rejected(mutant, name):
    estimator = mutant()
    with pytest.raises(CheckFailed):
        dict(estimator_checks(estimator))[name](estimator)
