"""All that is learned is learned in one way: fit for some steps, freeze, measure; the seed says what comes out."""

import pytest
import torch

import estimators
from estimators import BadInput
from estimators.core import Fitted
from estimators.registry import estimators as registry
from tests.support.cases import CASES, EVERY, fitting
from tests.support.exactness import estimates

LEARNED = [name for name, cls in registry if issubclass(cls, Fitted) and cls.__module__.startswith("estimators.")]
QUADRATIC = {"quadratic_pathwise", "lax"}
N = 4


def case_of(name):
    """A problem that the estimator fits and where a control variate has something to do."""
    return "normal" if name in QUADRATIC else "bits"


def fit(name, steps, seed=0):
    build, parameters, f = CASES[case_of(name)]
    torch.manual_seed(seed)
    estimator = estimators.get(name)
    assert isinstance(estimator, Fitted)
    return estimator.fit(build(**parameters), f, N, steps)


def test_every_learned_one_is_here():
    assert set(LEARNED) >= {"moving_average", "nvil", "lax", "rebar_fitted", "relax", "double_cv", "rodeo"}
    assert all(case_of(name) in fitting(estimators.get(name))[0] for name in LEARNED)
    assert all(estimators.get(name).traits.fitted for name in LEARNED)
    assert {name for name, cls in registry if cls().traits.fitted and name not in LEARNED} == set()


@pytest.mark.parametrize("name", LEARNED)
def test_no_steps_change_nothing(name):
    """The start of the curve of variance against steps is the estimator as it was before."""
    case = EVERY[case_of(name)]
    before, after = (estimates(each, *case, N, 50, seed=1) for each in (estimators.get(name), fit(name, 0)))
    torch.testing.assert_close(after, before)


@pytest.mark.parametrize("name", LEARNED)
def test_the_seed_says_what_is_learned_and_nothing_changes_it_afterwards(name):
    first, again, other = fit(name, 5), fit(name, 5), fit(name, 5, seed=1)
    assert first == again and hash(first) == hash(again)
    assert first != other
    assert first.state is not None
    kept = {key: value.clone() for key, value in first.state.items()}
    estimates(first, *CASES[case_of(name)], N, 20)
    assert all(torch.equal(first.state[key], value) and not value.requires_grad for key, value in kept.items())


@pytest.mark.parametrize("name", LEARNED)
def test_fitting_lowers_the_variance(name):
    case, steps = CASES[case_of(name)], 400 if name == "rodeo" else 100
    before, after = (estimates(fit(name, each), *case, N, 20_000).var(0).sum() for each in (0, steps))
    assert after < 0.95 * before


def test_steps_below_zero_are_refused():
    for name in LEARNED:
        with pytest.raises(BadInput, match="steps"):
            estimators.get(name, steps=-1)
