"""Wrong estimators, distributions, objectives, references and statistics are rejected, each by the right check."""

import pytest

from bench.distributions import distributions
from bench.problems.problem import Problem
from bench.validation.checks import check_family, check_objective, family_checks, objective_checks
from bench.validation.checks.measuring import check_bias_test, check_variance
from bench.validation.checks.problems import check_reference
from estimators.checks import CheckFailed, estimator_checks
from estimators.needs import unmet_samples
from tests.support.bench_mutants import (
    FAMILIES,
    PROBLEM,
    REFERENCES,
    STATISTICS,
    TARGETS,
    Smooth,
    exact,
    own_test,
    own_variance,
)
from tests.support.cases import CASES, fitting
from tests.support.cases import exact as exact_gradient
from tests.support.exactness import assert_unbiased, enough
from tests.support.mutants import MUTANTS

BY_ITS_ERROR = ("HoldsAFunction", "NeedsUndeclared")
"""Mutants whose own exception is the finding; the others must be found by a check's own sentence."""


@pytest.mark.parametrize(("mutant", "name"), MUTANTS, ids=[cls.__name__ for cls, _ in MUTANTS])
def test_a_wrong_estimator_is_rejected(mutant, name):
    estimator = mutant()
    with pytest.raises(CheckFailed) as found:
        dict(estimator_checks(estimator))[name](estimator)
    assert ("it raises" in str(found.value)) == (mutant.__name__ in BY_ITS_ERROR), found.value


RIGHT_ON_PLAIN_PROBLEMS = {
    "BaselineOfPairs": "made for bounds",
    "BlindToJumps": "wrong where f jumps",
    "BoundWithoutDirectTerm": "made for bounds",
    "DirectTermDropped": "wrong where f has a q in it",
}
BIASED = [mutant for mutant, name in MUTANTS if name.startswith("unbiased")]


@pytest.mark.parametrize("mutant", [cls for cls in BIASED if cls.__name__ not in RIGHT_ON_PLAIN_PROBLEMS])
def test_the_estimates_that_are_enough_are_enough_to_reject_it(mutant):
    """The draws of tests/estimators, which stop where a mean is known to 1.5 %."""
    estimator = mutant()
    n = 2 if unmet_samples(estimator.traits, 2) is None else 3
    case = next(case for case in fitting(estimator)[0] if case in CASES)
    sample = enough(estimator, *CASES[case], n, 200_000)
    with pytest.raises(AssertionError, match=r"^(biased|constant and wrong)"):
        assert_unbiased(sample, exact_gradient(case))


@pytest.mark.parametrize(("mutant", "name"), FAMILIES, ids=[cls.__name__ for cls, _ in FAMILIES])
def test_a_wrong_distribution_is_rejected(mutant, name):
    with pytest.raises(CheckFailed) as found:
        family = mutant(size=3)
        dict(family_checks(family))[name](family)
    assert "it raises" not in str(found.value)


@pytest.mark.parametrize(("mutant", "name"), TARGETS, ids=[cls.__name__ for cls, _ in TARGETS])
def test_a_wrong_objective_is_rejected(mutant, name):
    with pytest.raises(CheckFailed) as found:
        problem = Problem(distributions.get("normal", size=3), mutant())
        dict(objective_checks(problem))[name](problem)
    assert "it raises" not in str(found.value)


@pytest.mark.parametrize("name", REFERENCES)
def test_a_wrong_reference_is_rejected(name):
    check_reference(PROBLEM, 0, exact())
    with pytest.raises(CheckFailed, match="standard errors from score-function estimates"):
        check_reference(PROBLEM, 0, REFERENCES[name]())


@pytest.mark.parametrize("statistic", STATISTICS, ids=lambda each: each.__name__)
def test_a_wrong_statistic_is_rejected(statistic):
    with pytest.raises(CheckFailed):
        STATISTICS[statistic](statistic, 0)


SEEDS = [range(1), pytest.param(range(1, 200), marks=pytest.mark.slow)]
"""No false alarm: one seed, and in `make test-all` two hundred."""


@pytest.mark.parametrize("seeds", SEEDS, ids=len)
def test_gradests_own_statistics_pass(seeds):
    for seed in seeds:
        check_variance(own_variance, seed)
        check_bias_test(own_test, seed)


@pytest.mark.parametrize("seeds", SEEDS, ids=len)
def test_the_right_ones_pass(seeds):
    for seed in seeds:
        check_family(distributions.get("normal", size=3), seed=seed)
        check_family(distributions.get("bernoulli", size=3), seed=seed)
        check_objective(Smooth(), distributions.get("normal", size=3), seed=seed)
        check_reference(PROBLEM, seed, exact())
