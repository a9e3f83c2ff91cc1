"""Problems on minibatches: the gradient is that of all data, and each replicate has its own subset."""

import os

import pytest
import torch

import estimators
from bench.distributions import distributions
from bench.measure.estimates.gradients import Gradients
from bench.objectives import objectives
from bench.objectives.minibatch import subsets
from bench.problems.exact import reference
from bench.problems.problem import Problem
from bench.problems.theta import as_vector
from bench.suites.cell import problem_of
from bench.suites.grid import suite_cells
from bench.suites.suite import parse_suite
from estimators.errors import BadInput
from estimators.tools.noise_of_f import NoiseSource
from tests.support.exactness import assert_unbiased

ON_DATA = {
    "linear_regression": (("normal", {"size": 10}), {}, 442, "reparameterisation"),
    "logistic_regression": (("normal", {"size": 31}), {}, 569, "reparameterisation"),
    "digits_vae": (("bernoulli_encoder", {"size": 4, "batch": 6}), {}, 6, "disarm"),
    "digits_vae hidden": (("categorical_encoder", {"size": 2, "batch": 6}), {"hidden": 3}, 6, "rloo"),
    "digits_vae_weights": (("bernoulli_encoder", {"size": 4, "batch": 6}), {"hidden": 3}, 6, "rloo"),
    "digits_vae_weights normal": (("normal_encoder", {"size": 2, "batch": 6}), {}, 6, "reparameterisation"),
}
"""By objective: the family, settings, number of data, and an estimator that fits."""


def problem(case: str, minibatch: int | None) -> Problem:
    (family, of_family), settings, _, _ = ON_DATA[case]
    target = objectives.get(case.split(maxsplit=1)[0], **settings)
    return Problem(distributions.get(family, **of_family), target, "unconstrained", "start", minibatch)


def estimator(case: str):
    return estimators.get(ON_DATA[case][3])


@pytest.mark.parametrize("case", ON_DATA)
def test_a_minibatch_of_all_data_gives_the_estimates_of_the_problem_on_all_data(case):
    """In another order of the data, which an estimate per datum follows: here the order of the data is fixed."""
    size = ON_DATA[case][2]
    whole = Gradients(problem(case, None), estimator(case), 2)
    part = Gradients(problem(case, size), estimator(case), 2).with_noise_of(NoiseSource(0))
    torch.manual_seed(0)
    expected = whole(64)
    with pytest.MonkeyPatch.context() as patch:
        in_order = lambda replicates, data, size, device: torch.arange(size).expand(replicates, size)  # noqa: E731
        patch.setattr("bench.objectives.minibatch.subsets", in_order)
        torch.manual_seed(0)
        found = part(64)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max()))


@pytest.mark.parametrize("case", ON_DATA)
def test_estimates_on_minibatches_have_the_gradient_of_all_data_as_mean(case):
    torch.manual_seed(0)
    which = problem(case, 2 if ON_DATA[case][2] < 10 else 40)
    exact = reference(which)
    assert exact is not None
    draw = Gradients(which, estimator(case), 2)
    rows = torch.cat([draw(500) for _ in range(8)])
    assert_unbiased(rows, as_vector(exact.gradient), resolution=0.3)
    if case == "digits_vae":
        unscaled = rows * (2 / ON_DATA[case][2])  # the mean over images taken as a sum over the minibatch
        with pytest.raises(AssertionError):
            assert_unbiased(unscaled, as_vector(exact.gradient), resolution=0.3)


def test_subsets_have_different_data_and_every_datum_equally_often():
    torch.manual_seed(0)
    index = subsets(20_000, data=5, size=3, device=torch.device("cpu"))
    assert bool((index.sort(-1).values.diff(dim=-1) > 0).all())
    share = torch.bincount(index.flatten(), minlength=5) / len(index)
    assert bool(((share - 0.6).abs() < 6 * (0.24 / len(index)) ** 0.5).all())


@pytest.mark.compile
@pytest.mark.skipif(
    not os.environ.get("GRADEST_NO_SHAPES"), reason="the shape hook of tests/conftest.py is not traceable"
)
@pytest.mark.parametrize(
    ("case", "size"), [("digits_vae", 2), pytest.param("linear_regression", 20, marks=pytest.mark.slow)]
)
def test_compiled_estimates_on_minibatches_have_the_same_mean(case, size):
    draw = Gradients(problem(case, size), estimator(case), 2, mode="compile")
    torch.manual_seed(0)
    exact = reference(problem(case, size))
    assert exact is not None
    assert_unbiased(torch.cat([draw(1024) for _ in range(4)]), as_vector(exact.gradient), resolution=0.3)


@pytest.mark.parametrize(
    ("family", "objective", "minibatch", "said"),
    [
        ("normal", "linear", 2, "linear is no sum over data, so it has no minibatch"),
        ("bernoulli_encoder", "digits_vae", 21, "minibatch must be from 1 to 20, the number of data, not 21"),
    ],
)
def test_what_has_no_such_minibatch_says_so(family, objective, minibatch, said):
    which = Problem(distributions.get(family), objectives.get(objective), "unconstrained", "default", minibatch)
    assert which.misfit() == said
    with pytest.raises(BadInput, match=said):
        Gradients(which, estimators.get("reinforce"), 1)


def suite(**block):
    regression = {"distribution": {"name": "normal", "size": 10}, "objective": "linear_regression", "point": "start"}
    whole = {"samples": 2, "estimators": ["rloo"], "metrics": ["accuracy"], "problems": [regression | block]}
    return suite_cells(parse_suite(whole, "here"))


def test_minibatches_are_an_axis_of_a_block_of_problems():
    found = suite(minibatch=[20, 100])
    assert [cell.objective_params for cell in found] == [
        '{"minibatch":20,"noise":0.7}',
        '{"minibatch":100,"noise":0.7}',
    ]
    assert [problem_of(cell).minibatch for cell in found] == [20, 100]
    assert not any(cell.reason for cell in found)


def test_a_problem_on_all_data_keeps_its_id():
    assert suite()[0].objective_params == '{"noise":0.7}'
    assert len({cell.id for cell in (*suite(), *suite(minibatch=[20, 100]))}) == 3


@pytest.mark.parametrize(
    ("minibatch", "said"), [(0, "greater than or equal to 1"), ("all", "valid integer"), ([], "at least one")]
)
def test_a_wrong_minibatch_is_told_with_its_place(minibatch, said):
    with pytest.raises(BadInput, match=said) as caught:
        suite(minibatch=minibatch)
    assert str(caught.value).startswith("here: problems[0].minibatch")


def test_a_minibatch_of_more_than_all_data_is_not_applicable():
    assert {cell.reason for cell in suite(minibatch=443)} == {
        "minibatch must be from 1 to 442, the number of data, not 443"
    }
