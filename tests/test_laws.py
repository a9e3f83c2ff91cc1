"""Metamorphic laws: what must happen to every estimator's estimates when the problem is changed in a known way.

Both calls have the same seed, so that a law holds draw by draw. What does not obey it draw by draw is in a table with
the reason, and a test shows that it really does not; of those that are unbiased the mean obeys.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import estimators
from estimators import Evidence, Function, ImportanceBound, Terms
from estimators.checks.cases import Case, draws, fitting, flat, truth
from estimators.checks.statistics import estimates, require_mean

NAMES = estimators.available()
FEW = 3
BATCH = 16
ROUNDING = {torch.float64: 1e-10, torch.float32: 2e-3}
"""Of the largest estimate. A sum of some terms, each rounded to 1e-7 in float32, of which most cancel."""

deterministic = settings(derandomize=True, deadline=None, max_examples=2, database=None)
numbers = st.floats(-3, 3).filter(lambda number: abs(number) > 0.1)


def pairs(*kinds):
    """Every estimator with three problems in `make test`; the others are slow."""
    for name in NAMES:
        found = [case for case in fitting(estimators.get(name)) if isinstance(case.f, kinds)]
        for place, case in enumerate(found):
            yield pytest.param(name, case, id=f"{name}-{case.name}", marks=[pytest.mark.slow] if place >= FEW else [])


def seeded(estimator, case, dtype=torch.float64, batch=(BATCH,), seed=0):
    """The surrogate's value and its gradient, `[R, P]`."""
    values = {key: value.clone() for key, value in case.at(*batch, dtype=dtype).items()}
    torch.manual_seed(seed)

    def total(values):
        surrogate = estimator.surrogate(case.build(**values), case.f, draws(estimator))
        return surrogate.sum(), surrogate.detach()

    gradient, value = torch.func.grad(total, has_aux=True)(values)
    return value, flat(gradient, len(batch))


def changed(case, function):
    """The case with another f of the same kind: `function` of the value of f, of log p, or of the first term."""
    f = case.f
    if isinstance(f, Function):
        return Case(case.name, case.build, case.parameters, Function(lambda z: function(f.function(z))))
    if isinstance(f, Evidence):
        return Case(case.name, case.build, case.parameters, Evidence(lambda z: function(f.log_joint(z))))
    if isinstance(f, ImportanceBound):
        return Case(
            case.name, case.build, case.parameters, ImportanceBound(lambda z: function(f.log_joint(z)), f.draws)
        )
    assert isinstance(f, Terms)
    return Case(case.name, case.build, case.parameters, Terms(lambda z: function(f.terms(z)), f.depends))


def apart(a, b, dtype):
    """The largest difference, in units of what rounding may do."""
    size = max(float(a.abs().max()), float(b.abs().max()), 1.0)
    return float((a - b).abs().max()) / (ROUNDING[dtype] * size)


BY_SCORE = "a score function without a baseline: c times the score is added, whose mean is 0"
ADDS_NOISE = {
    "antithetic": BY_SCORE,
    "ar": "f times a function of the draw whose mean is 0",
    "dice": BY_SCORE,
    "downstream": BY_SCORE,
    "generalised_reparameterisation": "its correction is a score function",
    "importance_reinforce": BY_SCORE,
    "lax": "unfitted it is REINFORCE",
    "moving_average": "unfitted it is REINFORCE",
    "nvil": "unfitted it is REINFORCE",
    "off_policy": "the score is weighted, and has no baseline",
    "priority_sampling": "its weights sum to 1 in the mean alone",
    "quasi_monte_carlo": BY_SCORE,
    "reinforce": BY_SCORE,
    "rejection_reparameterisation": "its correction is a score function",
    "stratified": BY_SCORE,
    "sum_and_sample": "the category that is drawn is weighted by a score",
    "systematic": BY_SCORE,
    "top_and_sample": "the category that is drawn is weighted by a score",
}
"""Estimators to whose estimates a constant added to f adds noise of mean 0."""

NOT_SCALED = {
    "grpo": "divides by the spread of f over the draws, plus a small number",
    "off_policy_clipped": "clips by the sign of the advantage: a negative factor changes which draws are clipped",
    "rank_evolution_strategy": "sees the ranks of f alone",
}
"""Estimators whose estimates are not those of f times c where f is multiplied by c."""

KINDS = (Function, Evidence, ImportanceBound, Terms)
BOTH = pytest.mark.parametrize("dtype", ROUNDING, ids=str)


@BOTH
@pytest.mark.parametrize(("name", "case"), [pair for pair in pairs(*KINDS) if pair.values[0] not in ADDS_NOISE])
@deterministic
@given(c=numbers)
def test_a_constant_added_to_f_moves_no_estimate(name, case, dtype, c):
    estimator = estimators.get(name)
    _, before = seeded(estimator, case, dtype)
    _, after = seeded(estimator, changed(case, lambda value: value + c), dtype)
    assert apart(before, after, dtype) < 1


@pytest.mark.parametrize("name", ADDS_NOISE)
def test_what_a_constant_adds_noise_to_is_told_rightly(name):
    estimator = estimators.get(name)
    found = [case for case in fitting(estimator) if isinstance(case.f, KINDS)]
    moved = [
        apart(seeded(estimator, each)[1], seeded(estimator, changed(each, lambda value: value + 1.7))[1], torch.float64)
        for each in found
    ]
    assert max(moved) > 1


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ADDS_NOISE if estimators.get(name).traits.unbiased])
def test_the_noise_that_a_constant_adds_has_mean_zero(name):
    estimator, n = estimators.get(name), draws(estimators.get(name))
    for case in [each for each in fitting(estimator) if isinstance(each.f, Function)][:FEW]:
        shifted = changed(case, lambda value: value + 0.7)
        require_mean(lambda count, s: estimates(estimator, shifted, n, count, s), truth(case)[1], case.name, 0)  # noqa: B023


@BOTH
@pytest.mark.parametrize(("name", "case"), [pair for pair in pairs(Function) if pair.values[0] not in NOT_SCALED])
@deterministic
@given(c=numbers)
def test_c_times_f_gives_c_times_the_value_and_the_estimate(name, case, dtype, c):
    estimator = estimators.get(name)
    value, before = seeded(estimator, case, dtype)
    scaled, after = seeded(estimator, changed(case, lambda value: c * value), dtype)
    assert apart(c * before, after, dtype) < 1
    assert apart(c * value, scaled, dtype) < 1


@pytest.mark.parametrize("name", NOT_SCALED)
def test_what_does_not_scale_is_told_rightly(name):
    estimator = estimators.get(name)
    found = [case for case in fitting(estimator) if type(case.f) is Function]
    moved = [
        apart(
            -2.3 * seeded(estimator, each)[1],
            seeded(estimator, changed(each, lambda value: -2.3 * value))[1],
            torch.float64,
        )
        for each in found
    ]
    assert max(moved) > 1


@pytest.mark.parametrize(("name", "case"), list(pairs(*KINDS)))
def test_a_batch_of_one_is_no_batch(name, case):
    estimator = estimators.get(name)
    (value, gradient), (alone, single) = (seeded(estimator, case, batch=batch) for batch in ((1,), ()))
    assert apart(value[0], alone, torch.float64) < 1
    assert apart(gradient.flatten(), single.flatten(), torch.float64) < 1


@pytest.mark.parametrize(("name", "case"), list(pairs(*KINDS)))
def test_a_parameter_that_q_ignores_gets_exactly_zero(name, case):
    """One that q is made without, and one that is multiplied by 0: neither none nor NaN."""
    first = next(iter(case.parameters))

    def build(unused, silent, **values):
        return case.build(**(values | {first: values[first] + 0 * silent}))

    values = {key: value.clone() for key, value in case.at(BATCH).items()}
    extra = {"unused": torch.ones(BATCH, dtype=torch.float64), "silent": torch.ones_like(values[first])}
    estimator = estimators.get(name)
    gradient = torch.func.grad(lambda every: estimator.surrogate(build(**every), case.f, draws(estimator)).sum())(
        values | extra
    )
    assert (gradient["unused"] == 0).all() and (gradient["silent"] == 0).all()
