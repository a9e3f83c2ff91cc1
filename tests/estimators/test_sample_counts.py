"""Every estimator with every number of samples: right, or a sentence that names the estimator, n and what is needed."""

import pickle
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from torch.distributions import Normal

import estimators
from bench.provenance.identity import class_digest
from estimators import BadInput, Estimator, Fitted, Function, Need, Traits
from estimators.antithetic import Antithetic
from estimators.checks.cases import CASES, draws, fitting_cases, truth
from estimators.checks.statistics import estimates, require_mean, tuned
from estimators.needs import unmet_samples
from estimators.score_function import LeaveOneOut, Reinforce
from tests.support.few import spread

COUNTS = (-3, 0, 1, 2, 3, 5, 7)
NOT_WHOLE = (2.0, "4", None, True, torch.tensor(4), 4.5)


@cache
def cases(estimator):
    found = fitting_cases(estimator)
    assert found
    return found


@pytest.mark.parametrize("few", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["a few", "all"])
@pytest.mark.parametrize("name", estimators.available())
def test_a_number_of_samples_suits_or_is_refused_in_a_sentence(name, few):
    """The traits say which; what they allow gives finite estimates of the batch's shape, fitted or not."""
    estimator = estimators.get(name)
    for case in spread(cases(estimator)) if few else cases(estimator):
        ready = tuned(estimator, case, draws(estimator), 0)
        for n in COUNTS:
            reason = unmet_samples(estimator.traits, n)
            if reason is None:
                surrogate = ready.surrogate(case.q(4), case.f, n)
                assert surrogate.shape == (4,) and surrogate.isfinite().all(), (case.name, n)
            else:
                with pytest.raises(BadInput) as refused:
                    ready.surrogate(case.q(4), case.f, n)
                assert str(refused.value) == f"{name} {reason}"
                assert (
                    str(n) in reason and str(max(estimator.traits.samples_step, estimator.traits.min_samples)) in reason
                )


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in estimators.available() if estimators.get(name).traits.unbiased])
def test_every_number_of_samples_that_suits_is_unbiased(name):
    """On a problem each; tests of the estimators' claims do so on all of them, at two numbers."""
    estimator = estimators.get(name)
    case = cases(estimator)[0]
    exact = truth(case)[1]
    for n in COUNTS:
        if unmet_samples(estimator.traits, n) is None:
            ready = tuned(estimator, case, n, 0)
            require_mean(lambda count, s: estimates(ready, case, n, count, s), exact, f"{case.name}, n = {n}", 0)  # noqa: B023


@pytest.mark.parametrize("name", estimators.available())
def test_what_is_no_whole_number_is_refused_in_a_sentence(name):
    estimator = estimators.get(name)
    case = cases(estimator)[0]
    for n in NOT_WHOLE:
        with pytest.raises(BadInput, match=f"^{name} takes a whole number of samples n, not "):
            estimator.surrogate(case.q(4), case.f, n)  # pyright: ignore


@pytest.mark.parametrize("name", estimators.available())
def test_numpys_whole_numbers_are_taken(name):
    estimator = estimators.get(name)
    case = cases(estimator)[0]
    assert estimator.surrogate(case.q(4), case.f, np.int64(draws(estimator))).shape == (4,)  # pyright: ignore


@pytest.mark.parametrize("name", [n for n in estimators.available() if issubclass(type(estimators.get(n)), Fitted)])
def test_fitting_takes_what_the_surrogate_takes(name):
    estimator = estimators.get(name)
    case = cases(estimator)[0]
    with pytest.raises(BadInput, match=f"^{name} needs at least"):
        estimator.fit(case.q(), case.f, 0, 2)  # pyright: ignore


def test_a_bounds_samples_are_bounds():
    """The K draws of each are the bound's own."""
    case = next(case for case in CASES if case.name == "bound of bits")
    with pytest.raises(BadInput, match=r"^vimco needs at least 1 sample, not 0 \(n counts bounds, each of several"):
        estimators.get("vimco").surrogate(case.q(), case.f, 0)


def test_pairs_of_what_takes_pairs():
    assert Antithetic(Reinforce()).traits.samples_step == 2
    with pytest.raises(BadInput, match="antithetic takes its samples in groups of 2; 5 is not a multiple"):
        Antithetic(Reinforce()).surrogate(Normal(0.0, 1.0), Function(torch.square), 5)


@dataclass(frozen=True)
class Threes(Estimator):
    """A plug-in, registered under no name, with its own surrogate."""

    step: int = 3

    @property
    def traits(self):
        return Traits(unbiased=True, needs=frozenset({Need.DENSITY}), min_samples=self.step, samples_step=self.step)

    def surrogate(self, q, f, n):
        return f(q.sample((n,)), q).mean(0)


class Halved(LeaveOneOut):
    """A plug-in that asks the class that it is made from for half of its samples."""

    traits = Traits(unbiased=True, needs=frozenset({Need.DENSITY}), min_samples=2, samples_step=2)

    def surrogate(self, q, f, n):
        z = Reinforce().surrogate(q, f, n // 2)
        return z + 0 * super().surrogate(q, f, max(n // 2, 2))


class Alone(LeaveOneOut):
    """A plug-in that may take one sample, which the class that it is made from refuses."""

    traits = Traits(unbiased=True, needs=frozenset({Need.DENSITY}))

    def surrogate(self, q, f, n):
        return super().surrogate(q, f, 1) if n > 1 else Reinforce().surrogate(q, f, 1)


def test_plug_ins_are_checked_by_their_own_traits():
    q, f = Normal(0.0, 1.0), Function(torch.square)
    with pytest.raises(BadInput, match="Threes takes its samples in groups of 3; 4 is not a multiple"):
        Threes().surrogate(q, f, 4)
    assert Threes().surrogate(q, f, 6).isfinite()
    with pytest.raises(BadInput, match="takes its samples in groups of 2; 3 is not a multiple"):
        Halved().surrogate(q, f, 3)
    assert Halved().surrogate(q, f, 2).isfinite()
    assert Alone().surrogate(q, f, 1).isfinite()
    Alone().surrogate(q, f, 4)  # what a subclass asks of the class that it is made from is its own affair


def test_the_check_changes_neither_pickles_nor_sources():
    """A class's digest is that of its text, and methods say where they were written."""
    import inspect

    assert pickle.loads(pickle.dumps(Threes())) == Threes()
    assert "f(q.sample((n,)), q).mean(0)" in inspect.getsource(Threes.surrogate)
    assert class_digest(Threes) != class_digest(Halved)
    assert str(inspect.signature(Threes.surrogate)) == "(self, q, f, n)"


def test_other_forms_of_the_call_are_the_same():
    q, f = Normal(0.0, 1.0), Function(torch.square)
    torch.manual_seed(0)
    first = LeaveOneOut().surrogate(q, f, 4)
    torch.manual_seed(0)
    assert torch.equal(first, LeaveOneOut().surrogate(n=4, f=f, q=q))
    with pytest.raises(BadInput, match="rloo needs at least 2 samples, not 1"):
        LeaveOneOut().surrogate(q, f=f, n=1)
