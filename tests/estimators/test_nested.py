"""An estimator for each of several random variables: exact on five models, with less variance than leave-one-out."""

from typing import Any, cast

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Independent, Normal

from estimators import BadInput, ImportanceBound, Need, get, unmet
from estimators.joint import Joint, JointFunction
from estimators.nested import Layer, Nested, NestedEvidence, PerVariable
from tests.support.cases import double
from tests.support.several_variables import (
    MODELS,
    Several,
    each,
    estimates,
    exact_gradient,
    expectation,
    normal,
    one_hot,
    times,
)

ERRORS = 6.5
"""Standard errors that a mean may be off: a false alarm has a chance of 1e-10 per coordinate."""
PRECISE = 0.002
"""The standard error, relative to the gradient, at which a mean that is off by 1 % is seen: 5 of them."""
CHUNK = 4000

by_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
pairs = [(model, estimator) for model in MODELS for estimator in (*model.others, get("rloo"))]


def called(value) -> str:
    return " ".join(part.name for part in getattr(value, "estimators", [value]))


def off(rows: torch.Tensor, exact: torch.Tensor) -> float:
    """The largest distance of a mean to the exact gradient, in standard errors; rounding aside."""
    error = rows.std(0) / len(rows) ** 0.5
    return float(((rows.mean(0) - exact).abs() / error.clamp_min(1e-9)).max())


@by_model
def test_an_estimator_for_each_variable_is_unbiased_at_one_percent(model):
    torch.manual_seed(0)
    exact = exact_gradient(model)
    rows = [estimates(model, model.best, 8, CHUNK)]
    while torch.cat(rows).var(0).sum() / (CHUNK * len(rows)) > (PRECISE * exact.norm()) ** 2:
        rows.append(estimates(model, model.best, 8, CHUNK))
    found = torch.cat(rows)
    assert (found.mean(0) - exact).norm() < 0.01 * exact.norm()
    assert off(found, exact) < ERRORS


@pytest.mark.parametrize(("model", "estimator"), pairs, ids=lambda value: getattr(value, "name", "") or called(value))
def test_other_combinations_and_leave_one_out_on_all_are_unbiased(model, estimator):
    torch.manual_seed(1)
    assert estimator.traits.unbiased
    rows = torch.cat([estimates(model, estimator, 8, CHUNK) for _ in range(3)])
    assert off(rows, exact_gradient(model)) < ERRORS


@by_model
def test_it_beats_leave_one_out_on_all_variables_at_equal_evaluations(model):
    """The variance is lower at the same number of evaluations of f, 5 standard errors beyond doubt."""
    torch.manual_seed(2)
    n = 8
    samples = n * evaluations(model, model.best, n) // evaluations(model, get("rloo"), n)
    own, joint = (spread_of(estimates(model, *pair, 5 * CHUNK)) for pair in ((model.best, n), (get("rloo"), samples)))
    error = (own[1] ** 2 + joint[1] ** 2) ** 0.5
    assert torch.log(joint[0] / own[0]) > 5 * error


def spread_of(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The trace of the covariance, and the standard error of its logarithm."""
    distances = (rows - rows.mean(0)).square().sum(1)
    return distances.mean(), distances.std() / distances.mean() / len(rows) ** 0.5


def evaluations(model: Several, estimator, n: int) -> int:
    """How often an estimate evaluates f."""
    counted = 0

    def function(*draws):
        nonlocal counted
        value = model.f.function(*draws)
        counted += value.numel()
        return value

    watched = Several(
        model.name, model.theta, model.build, JointFunction(function, evidence=model.f.evidence), model.best
    )
    estimates(watched, estimator, n, 1)
    return counted


def test_paths_through_normals_given_bits_save_most_of_the_variance():
    """f = Σ z₁ z₂: at n = 16 the variance is 8.6 times less than leave-one-out's, in the Normals' weights 16 times."""
    theta = {"logits": torch.zeros(6, dtype=torch.float64), "W": torch.eye(6, dtype=torch.float64)}

    def build(p):
        first = Independent(Bernoulli(logits=p["logits"]), 1)
        return Joint([first, lambda b: normal(times(b, p["W"]), 1.0)])

    estimator = each("rloo", "reparameterisation")
    model = Several("bits", theta, build, JointFunction(lambda b, x: (b * x).sum(-1)), estimator)
    torch.manual_seed(3)
    own, joint = (spread_of(estimates(model, e, 16, CHUNK))[0] for e in (estimator, get("rloo")))
    assert joint / own > 7.5


class Cut(Joint):
    """A mutant: later variables do not let the gradient through to the draws that they depend on."""

    def given(self, draws):
        return super().given([draw.detach() for draw in draws])


@pytest.mark.parametrize("place", [1, 3])
def test_a_mutant_without_the_inner_gradient_in_the_outer_draw_is_seen(place):
    model = MODELS[place]
    cut = Several(model.name, model.theta, lambda p: Cut(model.build(p).variables), model.f, model.best)
    torch.manual_seed(1)
    estimator = each(*{1: ("reparameterisation", "rloo"), 3: ("rloo", "reparameterisation", "disarm")}[place])
    rows = torch.cat([estimates(cut, estimator, 8, CHUNK) for _ in range(6)])
    assert off(rows, exact_gradient(model)) > ERRORS + 3


def test_a_mutant_that_is_not_linear_in_the_inner_values_is_seen():
    """Ranks of noisy values: refused, and rightly so."""
    with pytest.raises(BadInput, match=r"GroupRelative.* is not linear in the values of f"):
        each("grpo", "reparameterisation")
    assert each("reparameterisation", "grpo").traits.unbiased is False
    assert each("grpo", "exact").inner == (1,)


def test_exact_sums_of_each_variable_are_the_gradient():
    theta = {"logits": double(0.3, -0.8), "V": double(0.7, -0.4, 1.1, 0.2, -0.9, 0.5).reshape(3, 2)}

    def build(p):
        first = Independent(Bernoulli(logits=p["logits"]), 1)
        return Joint([first, lambda b: one_hot(times(b, p["V"]))])

    f = JointFunction(lambda b, c: (b.sum(-1) - 2 * c[..., 1]).square() + b[..., 0] * c[..., 2])
    model = Several("discrete", theta, build, f, each("exact", "exact"))
    assert model.best.traits.exact
    torch.testing.assert_close(estimates(model, model.best, 1, 2), exact_gradient(model).expand(2, -1))


def test_the_gradient_in_the_own_parameters_of_f_is_that_of_the_mean():
    own, loc = double(0.7).requires_grad_(), double(0.4)
    q = Joint([normal(loc, double(1.0)), lambda x: one_hot(torch.cat([x, -x], -1))])
    f = JointFunction(lambda x, c: own * x[..., 0] * c[..., 0] + (own * x[..., 0]).cos())
    (exact,) = torch.autograd.grad(expectation(q, f, ()), own)
    torch.manual_seed(4)
    (found,) = torch.autograd.grad(each("reparameterisation", "rloo").surrogate(q, f, 200_000), own)
    assert (found - exact).abs() < 0.01


def test_a_nested_objective_gives_the_same_estimates_as_an_estimator_per_variable():
    W = double(0.9, -0.4).requires_grad_()
    logits = double(0.2, -0.3).requires_grad_()
    f = lambda b, x: (b.sum(-1) - x).square()  # noqa: E731
    conditional = lambda b: Normal(b @ W, 0.5)  # noqa: E731
    outer = Independent(Bernoulli(logits=logits), 1)
    found = []
    for make in (
        lambda: get("rloo").surrogate(outer, Nested(f, Layer(conditional, get("reparameterisation"))), 6),
        lambda: each("rloo", "reparameterisation").surrogate(Joint([outer, conditional]), JointFunction(f), 6),
    ):
        torch.manual_seed(5)
        found.append(torch.cat(torch.autograd.grad(make(), [logits, W])))
    assert torch.equal(*found)


def test_a_nested_evidence_takes_away_each_log_density():
    outer, inner = normal(double(0.3), double(0.8)), normal(double(-0.2), double(1.1))
    log_p = lambda x, y: outer.log_prob(x) + inner.log_prob(y)  # noqa: E731
    f = NestedEvidence(log_p, Layer(lambda x: inner.expand(x.shape[:-1]), get("reparameterisation"), 3))
    torch.testing.assert_close(f(outer.sample((5,)), outer), torch.zeros(5, dtype=torch.float64))
    assert f.noisy and not f.twice_differentiable


def test_a_nested_objective_says_what_it_offers():
    layer = Layer(lambda x: normal(x, double(1.0)), get("reparameterisation"))
    noisy = Nested(lambda x, y: (x * y).sum(-1), layer)
    q = normal(double(0.5), double(1.0))
    assert unmet(get("reparameterisation"), q, noisy, 1) is None
    assert unmet(get("rank_evolution_strategy"), q, noisy, 4) is not None
    assert unmet(get("taylor_pathwise"), q, noisy, 1) == f"needs {Need.TWICE_DIFFERENTIABLE.sentence}"
    still = Nested(
        lambda x, c: x.sum(-1) * c[..., 0], Layer(lambda x: one_hot(x.expand(*x.shape[:-1], 2)), get("exact"))
    )
    assert noisy.noisy and not still.noisy


def test_draws_of_a_joint_are_split_into_those_of_its_variables():
    q = Joint({"c": Categorical(torch.ones(2, 3)), "x": lambda z: normal(z["c"].unsqueeze(-1) + torch.zeros(4), 0.1)})
    z = q.sample((5,))
    c, x = q.split(z)
    assert (q.batch_shape, q.event_shape, z.shape) == ((2,), (5,), (5, 2, 5))
    assert c.dtype == torch.int64 and c.shape == (5, 2) and x.shape == (5, 2, 4)
    assert torch.equal(q.flat((c, x)), z) and not q.has_rsample
    expected = Categorical(torch.ones(2, 3)).log_prob(c) + normal(c.unsqueeze(-1) + torch.zeros(4), 0.1).log_prob(x)
    torch.testing.assert_close(q.log_prob(z), expected)


def test_a_joint_offers_what_each_of_its_variables_offers():
    path = get("reparameterisation")
    below = lambda x: normal(x, 0.5)  # noqa: E731
    smooth = Joint([normal(double(0.1, 0.2), double(1.0, 1.0)), below])
    assert unmet(path, smooth, F, 1) is None and unmet(get("rloo"), smooth, F, 2) is None
    mixed = Joint([BITS, below])
    assert unmet(get("rloo"), mixed, F, 2) is None
    assert unmet(path, mixed, F, 1) == f"needs {Need.REPARAMETERISED.sentence} (Joint does not list it in offers)"


BITS = Independent(Bernoulli(torch.full((2,), 0.5)), 1)
F = JointFunction(lambda a, b: a.sum(-1) + b.sum(-1))


class NoExpand(Normal):
    """Has no method expand."""

    def expand(self, batch_shape, _instance=None):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (
            lambda: Joint([lambda: BITS]),
            "the first of several random variables must be a torch distribution, found <fun",
        ),
        (lambda: Joint([]), "the first of several random variables must be a torch distribution, found None"),
        (
            lambda: Joint([BITS, cast(Any, lambda b: 3.0)]).sample(),
            "z2 must be a torch distribution given the draws before it",
        ),
        (
            lambda: Joint({"a": BITS, "b": lambda z: Normal(z["a"], 1.0)}).sample((5,)),
            r"b must have batch shape \[5\] given draws with these leading axes, found \[5, 2\] and event shape \[\]",
        ),
        (
            lambda: Joint([Normal(torch.zeros(2), 1.0), Normal(torch.zeros(3, 2), 1.0)]).sample((3,)),
            r"z2 has batch shape \[3, 2\]; that of the first variable, \[2\], would be right",
        ),
        (
            lambda: get("rloo").surrogate(
                Bernoulli(logits=torch.zeros(())),
                Nested(lambda b, x: b + x, Layer(lambda _: Normal(0.0, 1.0), get("rloo"), 3)),
                2,
            ),
            r"conditional must return a distribution of batch shape \[2\].* found \[\]; q.expand",
        ),
        (lambda: Joint([BITS, NoExpand(0.0, 1.0)]).sample((2,)), "z2: NoExpand has no method expand; a function of"),
        (lambda: each("rloo", "rloo").surrogate(BITS, F, 2), r"expected several random variables, Joint\(\[…\]\)"),
        (lambda: each("rloo").surrogate(Joint([BITS, BITS]), F, 2), r"in their order \(z1, z2\); found 1 estimators"),
        (
            lambda: PerVariable({"a": get("rloo"), "v": get("rloo")}).surrogate(Joint({"a": BITS, "b": BITS}), F, 2),
            "there is no variable 'v'; there are a, b|there is no variable 'v'",
        ),
        (
            lambda: PerVariable([get("rloo"), get("rloo")], [2, 2]),
            "inner must have a number of draws for each variable",
        ),
        (lambda: PerVariable([]), "takes an estimator for each variable, found none"),
        (lambda: each("rloo", "rloo").surrogate(Joint([BITS, BITS]), F, 1), "rloo needs|needs at least 2 samples"),
        (
            lambda: each("rloo", "rloo").surrogate(Joint([BITS, BITS]), ImportanceBound(BITS.log_prob, 2), 2),
            "does not accept an objective that takes several draws",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(act, said):
    with pytest.raises(BadInput, match=said):
        act()


def test_estimators_by_name_and_their_least_inner_samples():
    estimator = PerVariable({"a": get("rloo"), "b": get("disarm"), "c": get("reparameterisation")})
    assert (estimator.inner, estimator.names) == ((2, 1), ("a", "b", "c"))
    assert estimator.traits.min_samples == 2 and estimator.traits.unbiased and not estimator.traits.exact
    assert not each("reparameterisation", "gumbel_softmax").traits.valued
    assert estimator == PerVariable({"a": get("rloo"), "b": get("disarm"), "c": get("reparameterisation")}, [2, 1])
