"""Every registered estimator passes the checks; a check that must fail is named here with its reason."""

from dataclasses import fields

import pytest

import estimators
from bench.distributions import Family, distributions
from bench.measure.estimates.calls import count
from bench.measure.estimates.gradients import Gradients
from bench.objectives import linear_regression, logistic_regression, objectives
from bench.problems.problem import Problem
from bench.validation.checks import check_family, check_objective
from estimators.checks import CheckFailed, check_estimator, claims, contract, estimator_checks, parametrize_with_checks
from estimators.checks.cases import fitting_cases
from estimators.checks.expected import expected_failures
from tests.support.few import spread

ON_EVERY_PROBLEM = ("declared_bias", "needs_are_said")
"""The quick ones; the other checks look at two problems of each estimator.
`test_no_false_alarm`, in `make test-all`, takes all checks on all problems."""


@parametrize_with_checks([estimators.get(name) for name in estimators.available()], expected_failures=expected_failures)
def test_registered(estimator, check, request, monkeypatch):
    if not request.node.name.endswith(tuple(f"-{name}]" for name in ON_EVERY_PROBLEM)):
        for module in (claims, contract):
            monkeypatch.setattr(module, "fitting_cases", lambda estimator: spread(fitting_cases(estimator), 2))
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


ORIGINALS = {
    "disarm", "group_mean", "measure_valued", "moving_average", "off_policy", "off_policy_clipped",
    "optimal_coefficient", "rebar", "reinforce", "reparameterisation", "rloo", "straight_through", "vimco",
}  # fmt: skip
"""The right estimators that `tests/support/mutants.py` breaks."""


@pytest.mark.slow
@pytest.mark.parametrize("name", estimators.available())
def test_no_false_alarm(name):
    """200 seeds of those that the mutants break, twenty of the others."""
    for seed in range(1, 201 if name in ORIGINALS else 21):
        estimator = estimators.get(name)
        check_estimator(estimator, seed=seed, expected_failures=expected_failures(estimator))


FITS = {
    "accepted_answers": ("automaton_policy", {"size": 3}),
    "asian_call": ("black_scholes_path", {"size": 2}),
    "balanced_brackets": ("token_policy", {"size": 4, "vocabulary": 2}),
    "basket_call": ("black_scholes", {"size": 2}),
    "digital_call": ("black_scholes", {}),
    "european_call": ("black_scholes", {}),
    "best_answer": ("prefix_policy", {"size": 3}),
    "priced_answers": ("log_linear_policy", {"size": 3}),
    "regularised_answers": ("prefix_policy", {"size": 3}),
    "right_answers": ("prefix_policy", {"size": 3}),
    "linear_regression": ("normal", {"size": linear_regression.SIZE}),
    "logistic_regression": ("normal", {"size": logistic_regression.SIZE}),
}
"""Objectives that need a family of a certain kind or size."""
HEAVY = {"layered_encoder", "bernoulli_encoder", "categorical_encoder", "normal_encoder", "tabular_policy"}
"""Families on real data or with an environment: checked as they come in `make test-all`."""
LONG = {
    "balanced_brackets", "belief_net", "digits_vae", "digits_vae_weights", "discounted_return", "linear_regression",
    "logistic_regression",
}  # fmt: skip
"""Objectives whose exact gradient takes seconds: checked in `make test-all`."""


def small(name: str) -> Family:
    known = [field.name for field in fields(distributions.lookup(name))]  # type: ignore[arg-type]
    settings = {"size": 2 if name == "multivariate_normal" else 3} if "size" in known else {}
    return distributions.get(name, **settings)


@pytest.mark.parametrize("name", [name for name in distributions.available() if name not in HEAVY])
def test_registered_distribution(name):
    check_family(small(name))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LONG else ()) for name in objectives.available()]
)
def test_registered_objective(name):
    family, settings = FITS.get(name, (None, {}))
    check_objective(objectives.get(name), distributions.get(family, **settings) if family else None)


@pytest.mark.slow
@pytest.mark.parametrize("name", distributions.available())
def test_no_false_alarm_of_a_distribution_in_200_seeds(name):
    for seed in range(1, 201):
        check_family(small(name), seed=seed)


K, D, C, M = 4, 3, 4, 3
FRESH = 1  # of ovis
CATALOGUE = {
    "bits": (
        Problem(distributions.get("bernoulli", size=D), objectives.get("quadratic_bits")),
        {
            **dict.fromkeys(("reinforce", "moving_average", "nvil", "rloo", "group_mean", "grpo"), (K, 0)),
            **dict.fromkeys(("independent_baseline", "optimal_coefficient", "dice"), (K, 0)),
            **dict.fromkeys(("off_policy", "off_policy_clipped", "policy_loss"), (K, 0)),
            **dict.fromkeys(("ar", "arm", "disarm", "arms", "antithetic", "quasi_monte_carlo"), (K, 0)),
            **dict.fromkeys(("self_critical", "simple_muprop"), (K + 1, 0)),
            **dict.fromkeys(("double_cv", "rodeo"), (K, K)),
            **dict.fromkeys(("gumbel_softmax", "straight_through_gumbel", "straight_through", "reinmax"), (K, K)),
            **dict.fromkeys(("gapped_straight_through", "gumbel_rao", "gumbel_sparsemax"), (K, K)),
            **dict.fromkeys(("rebar", "rebar_fitted", "relax"), (3 * K, 2 * K)),
            "muprop": (K + 1, 1),
            "carms": (K, 0),
            "foust": (2 * K, K),
            "stochastic_triples": (2 * K, 0),
            **dict.fromkeys(("local_expectation", "structured_local_expectation"), (K * (D + 1), 0)),
            "indecater": (K * D * 2, 0),
            "exact": (2**D, 0),
        },
    ),
    "one categorical": (
        Problem(distributions.get("categorical", size=1, categories=C), objectives.get("bandit")),
        {
            **dict.fromkeys(("stick_breaking_disarm", "tree_disarm", "stratified", "systematic"), (K, 0)),
            "ars": (K * C, 0),
            "arsm": (K * (C * (C - 1) // 2 + 1), 0),
            "indecater": (K * C, 0),
            **dict.fromkeys(("top_and_sample", "sum_and_sample", "unordered_set"), (K, 0)),
            **dict.fromkeys(("priority_sampling", "normalised_priority_sampling"), (K, 0)),
        },
    ),
    "normal": (
        Problem(distributions.get("normal", size=D), objectives.get("quadratic")),
        {
            **dict.fromkeys(("lax", "antithetic_evolution_strategy", "rank_evolution_strategy", "smoothing"), (K, 0)),
            **dict.fromkeys(("reparameterisation", "quadratic_pathwise", "boundary_pathwise"), (K, K)),
            "sticking_the_landing": (K, K),
            "delta_method": (K + 1 + D, 1 + 2 * D),
            "taylor_pathwise": (K + 1 + D, K + 1 + 2 * D),
            "evolution_strategy": (K + 1, 0),
            "spsa": (2 * K, 0),
            "finite_differences": (K * 2 * D, 0),
            "measure_valued": (K * 4 * D, 0),
        },
    ),
    "counts": (
        Problem(distributions.get("poisson", size=D), objectives.get("squared_sum")),
        {"weak_derivative": (K * (2 * D + 1), 0)},
    ),
    "gamma": (
        Problem(distributions.get("gamma", size=D), objectives.get("quadratic")),
        dict.fromkeys(("generalised_reparameterisation", "rejection_reparameterisation"), (K, K)),
    ),
    "chain": (
        Problem(distributions.get("bernoulli", size=D), objectives.get("chain")),
        {"downstream": (K, 0)},
    ),
    "bound on bits": (
        Problem(distributions.get("bernoulli", size=2), objectives.get("importance_bound", draws=M)),
        {
            **dict.fromkeys(("importance_reinforce", "vimco", "ovis_asymptotic", "wake", "thermodynamic"), (K * M, 0)),
            "ovis": (K * (M + FRESH), 0),
            "multi_sample_disarm": (2 * K * M, 0),
        },
    ),
    "maximum of bits": (
        Problem(distributions.get("bernoulli", size=2), objectives.get("max_of_draws", draws=M)),
        dict.fromkeys(("set_reinforce", "set_rloo", "subset_score"), (K * M, 0)),
    ),
    "maximum of a normal": (
        Problem(distributions.get("normal", size=2), objectives.get("max_of_draws", draws=M)),
        {"set_pathwise": (K * M, K * M)},
    ),
    "bound on a normal": (
        Problem(distributions.get("normal", size=1), objectives.get("importance_bound", draws=M)),
        {"importance_pathwise": (K * M, K * M), "doubly_reparameterised": (2 * K * M, K * M)},
    ),
}
"""The catalogue's evaluations of f and of its gradient, with K draws, or K sets of M for a bound.

A weak derivative takes one more for its value, the doubly reparameterised gradient one for log p's own parameters; a
Hessian counts as its D rows.
"""


@pytest.mark.parametrize(("problem", "name"), [(p, n) for p, (_, names) in CATALOGUE.items() for n in names])
def test_evaluations_are_the_catalogues(problem, name):
    which, names = CATALOGUE[problem]
    assert count(Gradients(which, estimators.get(name), K)) == names[name]
