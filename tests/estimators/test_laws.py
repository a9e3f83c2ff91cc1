"""Metamorphic laws: what must happen to every estimator's estimates when the problem is changed in a known way.

Hypothesis chooses the problems: a size, the parameters of every element of a batch, a constant, an order. Both calls
have the same random numbers, so that a law holds draw by draw, up to rounding. What does not obey draw by draw is in a
table with the reason, and a test shows that it really does not; of those that are unbiased the mean obeys.
"""

import math
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import estimators
from estimators import Evidence, Function, ImportanceBound, Terms
from estimators.checks.cases import as_vectors, draws, fitting_cases, truth
from estimators.checks.statistics import estimates, require_mean
from estimators.score_function import Reinforce

NAMES = estimators.available()
BATCH = 11
MANY = 13
"""Draws, where they are permuted: an axis of a tensor is then known by its size."""

constants = st.floats(0.1, 3) | st.floats(-3, -0.1)
precisions = st.sampled_from([torch.float32, torch.float64])
KINDS = (Function, Evidence, ImportanceBound, Terms)


def chosen(few):
    """Settings of a test for which hypothesis chooses `few` problems, the same ones every time."""
    return settings(derandomize=True, deadline=None, max_examples=few, database=None, phases=[Phase.generate])


COUNTS = pytest.mark.parametrize("few", [3, pytest.param(40, marks=pytest.mark.slow)])
"""Three problems of each estimator in `make test`; many in `make test-all`."""


@cache
def kinds(estimator, *objectives):
    """The cases that offer all that an estimator needs, with an objective of these kinds."""
    return [case for case in fitting_cases(estimator) if isinstance(case.f, objectives or KINDS)]


def names(*but, objectives=KINDS):
    return [name for name in NAMES if name not in but and kinds(estimators.get(name), *objectives)]


# --- problems ---


def grown(case, name, value, extra):
    """The shape of a parameter of the case with `extra` further coordinates."""
    rows, axis = value.shape[:-1], value.shape[-1]
    if case.name == "one-hot":
        return (value.shape[0] + extra, axis)
    return (*(size + extra for size in rows), axis + extra) if name == "scale_tril" else (axis + extra,)


@st.composite
def problems(draw, cases, more=None):
    """A problem like one of `cases`, with `more` further coordinates and other parameters for each of `BATCH` elements.

    The first that hypothesis tries has equal parameters: scales of 1, and all else 0.
    """
    case = draw(st.sampled_from(cases))
    extra = draw(st.integers(0, 2)) if more is None else more
    numbers = draw(st.lists(st.floats(-1, 1, width=16), min_size=6, max_size=6))
    element = torch.arange(float(BATCH), dtype=torch.float64)
    values = {}
    for name, value in case.parameters.items():
        shape = grown(case, name, value, extra)
        entry = torch.arange(math.prod(shape)).reshape(shape)
        own = torch.tensor(numbers, dtype=torch.float64)[entry % 6]
        each = own * (1 + 0.3 * (element.reshape(-1, *(1 for _ in shape)) + entry).sin())
        if name == "scale_tril":
            each = each.tril(-1) + (0.5 * each.diagonal(dim1=-2, dim2=-1)).exp().diag_embed()
        values[name] = (0.5 * each).exp() if name in ("scale", "concentration", "rate") else each
    f = case.f
    if isinstance(f, Terms):
        size = values["logits"].shape[-1]
        f = Terms(f.terms, torch.eye(size)[:-1] + torch.eye(size)[1:])
    return replace(case, parameters=values, f=f)


def seeded(estimator, problem, dtype=torch.float64, n=None, noise=None):
    """The surrogate's value `[*batch]` and its gradient by name, at the same random numbers in every call."""
    values = {key: value.to(dtype).clone() for key, value in problem.parameters.items()}

    def total(values):
        surrogate = estimator.surrogate(problem.build(**values), problem.f, n or draws(estimator))
        return surrogate.sum(), surrogate.detach()

    torch.manual_seed(0)
    with noise or torch.enable_grad():
        gradient, value = torch.func.grad(total, has_aux=True)(values)
    return value, gradient


def changed(problem, function, before=lambda z: z):
    """The problem with another f of the same kind: `function` of the value of f, of log p, or of its terms."""
    f = problem.f
    if isinstance(f, Function):
        other = Function(lambda z: function(f.function(before(z))))
    elif isinstance(f, Evidence):
        other = Evidence(lambda z: function(f.log_joint(before(z))))
    elif isinstance(f, ImportanceBound):
        other = ImportanceBound(lambda z: function(f.log_joint(before(z))), f.draws)
    else:
        assert isinstance(f, Terms)
        other = Terms(lambda z: function(f.terms(before(z))), f.depends)
    return replace(problem, f=other)


def magnitude(problem):
    """The largest |f| and the largest entry of ∇θ log q, over 64 draws of every element."""
    torch.manual_seed(1)
    shape = (64, problem.f.draws) if isinstance(problem.f, ImportanceBound) else (64,)
    q = problem.build(**problem.parameters)
    z = q.sample(shape)
    largest = max(float(torch.as_tensor(part).abs().max()) for part in parts_of(problem.f, z, q))
    score = torch.func.vmap(
        torch.func.grad(lambda values, z: problem.build(**values).log_prob(z).sum()), in_dims=(None, 0)
    )(problem.parameters, z.flatten(0, len(shape) - 1))
    return largest, max(1.0, *(float(each.abs().max()) for each in score.values()))


def parts_of(f, z, q):
    """What is added up to f: an evidence's log p and log q, the terms."""
    if isinstance(f, Evidence | ImportanceBound):
        return f.log_joint(z), q.log_prob(z)
    return f.terms(z) if isinstance(f, Terms) else f(z, q)


ROUNDINGS = 16
"""k of the bound, in units of eps. Between a draw and an estimate each product of f with a factor of the size of the
score is rounded by at most eps/2 in each of at most 32 operations: up to 10 in f, up to 12 in the factor (a
probability, its logarithm, an exponential, a division), and up to 10 levels of the sums over draws, coordinates or
values of z."""


def require_near(problem, dtype, found, expected, constant=0.0, factor=1.0):
    """Both agree but for rounding: k · eps · (factor · (|f|max + |c|) · |score|max + |estimate|max)."""
    unit, own = ROUNDINGS * torch.finfo(dtype).eps, float(expected.abs().max())
    apart = float((found - expected).abs().max())
    if not apart <= unit * own:
        largest, score = magnitude(problem)
        assert apart <= unit * (factor * (largest + abs(constant)) * score + own)


def vector(gradient):
    return as_vectors(gradient, 1)


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
    "set_reinforce": BY_SCORE,
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

ORDERED_DRAWS = dict.fromkeys(
    ("stratified", "systematic"), "the noise says in which stratum a draw is: other noise renames the strata"
)
"""Estimators whose draws are exchangeable in law alone: none is known by its noise."""

BY_ORDER = "builds a category from uniforms in the order of the categories"
ORDERED_CATEGORIES = {
    "ars": "one category is the reference",
    "carms": BY_ORDER,
    "stick_breaking_disarm": BY_ORDER,
    "stratified": BY_ORDER,
    "systematic": BY_ORDER,
    "tree_disarm": BY_ORDER,
}
"""Estimators for which another order of the categories is another estimate; not so another order of variables."""

ORDERED_COORDINATES = {"quasi_monte_carlo": "each coordinate is a dimension of the Sobol set, and each has its own"}
"""Estimators for which another order of the coordinates is another estimate."""


def require_the_law_of_a_constant(estimator, few):
    @chosen(few)
    @given(problem=problems(kinds(estimator)), c=constants, dtype=precisions)
    def law(problem, c, dtype):
        _, before = seeded(estimator, problem, dtype)
        _, after = seeded(estimator, changed(problem, lambda value: value + c), dtype)
        require_near(problem, dtype, vector(after), vector(before), constant=c)

    law()


@COUNTS
@pytest.mark.parametrize("name", names(*ADDS_NOISE))
def test_a_constant_added_to_f_moves_no_estimate(name, few):
    require_the_law_of_a_constant(estimators.get(name), few)


def test_what_clips_ranks_or_normalises_is_moved_by_no_constant():
    """For these f + c changes neither the mean nor a verdict, as each estimate stays: the law above has them all."""
    clipping = {"off_policy_clipped", "grpo", "group_mean", "rank_evolution_strategy", "normalised_priority_sampling"}
    assert clipping | {"optimal_coefficient", "double_cv", "rodeo"} <= set(names(*ADDS_NOISE))


@pytest.mark.parametrize("name", ADDS_NOISE)
def test_what_a_constant_adds_noise_to_is_told_rightly(name):
    assert disobeys(name, lambda estimator, case: (case, changed(case, lambda value: value + 1.7), 1))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ADDS_NOISE if estimators.get(name).traits.unbiased])
def test_the_noise_that_a_constant_adds_has_mean_zero(name):
    estimator, n = estimators.get(name), draws(estimators.get(name))
    for case in kinds(estimator, Function)[:3]:
        shifted = changed(case, lambda value: value + 0.7)
        require_mean(lambda count, s: estimates(estimator, shifted, n, count, s), truth(case)[1], case.name, 0)  # noqa: B023


def require_the_law_of_a_factor(estimator, few):
    @chosen(few)
    @given(problem=problems(kinds(estimator, Function)), c=constants, dtype=precisions)
    def law(problem, c, dtype):
        value, before = seeded(estimator, problem, dtype)
        scaled, after = seeded(estimator, changed(problem, lambda value: c * value), dtype)
        require_near(problem, dtype, vector(after), c * vector(before), factor=abs(c))
        require_near(problem, dtype, scaled, c * value, factor=abs(c))

    law()


@COUNTS
@pytest.mark.parametrize("name", names(*NOT_SCALED, objectives=(Function,)))
def test_c_times_f_gives_c_times_the_value_and_the_estimate(name, few):
    require_the_law_of_a_factor(estimators.get(name), few)


@pytest.mark.parametrize("name", NOT_SCALED)
def test_what_does_not_scale_is_told_rightly(name):
    assert disobeys(name, lambda estimator, case: (case, changed(case, lambda value: -2.3 * value), -2.3), Function)


def disobeys(name, change, *objectives):
    """Whether an estimate moves by more than rounding on any of the estimator's cases."""
    estimator = estimators.get(name)
    moved = []
    for each in kinds(estimator, *objectives):
        case = replace(each, parameters=each.at(BATCH))
        problem, other, c = change(estimator, case)
        before, after = (vector(seeded(estimator, one)[1]) for one in (problem, other))
        moved.append(float((c * before - after).abs().max()))
    return max(moved) > 1e-6


# --- orders ---


RANDOM = ("rand", "randn", "normal", "bernoulli", "multinomial", "_standard_gamma", "binomial", "poisson", "randint")
IN_PLACE = ("normal_", "uniform_", "exponential_")


@contextmanager
def permuted(order, slower=lambda length: False, categories=False):
    """Random numbers in another order along the axes of its size: those that torch draws without it, moved.

    What a draw depends on is moved back first, so that a permuted problem has the draws of the original, permuted. An
    axis that is several flattened ones has the permuted one as its slower part where `slower(length)`. Categories are
    drawn as indices, which are renamed where they are what is permuted.
    """
    size, back = len(order), order.argsort()

    def moved(x, order):
        if not isinstance(x, torch.Tensor):
            return x
        for axis, length in enumerate(x.shape):
            if length and length % size == 0:
                first = slower(length)
                parts = (size, length // size) if first else (length // size, size)
                x = x.unflatten(axis, parts).index_select(axis + (not first), order).flatten(axis, axis + 1)
        return x

    def instead(name, draw):
        def drawn(*args, **kwargs):
            noise = draw(*(moved(each, back) for each in args), **kwargs)
            return back[noise] if categories and name == "multinomial" else moved(noise, order)

        return drawn

    def in_place(draw):
        return lambda self, *args, **kwargs: self.copy_(moved(draw(torch.empty_like(self), *args, **kwargs), order))

    with pytest.MonkeyPatch.context() as patch:
        for name in RANDOM:
            patch.setattr(torch, name, instead(name, getattr(torch, name)))
        for name in IN_PLACE:
            patch.setattr(torch.Tensor, name, in_place(getattr(torch.Tensor, name)))
        yield


def orders(size):
    return st.permutations(range(size)).map(torch.tensor)


def many(estimator):
    """A number of draws whose order can be told, and the size of the axis along which it is."""
    n = draws(estimator, MANY)
    return n, n // estimator.traits.samples_step


def require_the_law_of_draws(estimator, few):
    n, size = many(estimator)

    @chosen(few)
    @given(problem=problems(kinds(estimator)), order=orders(size))
    def law(problem, order):
        value, gradient = seeded(estimator, problem, n=n)
        again, moved = seeded(estimator, problem, n=n, noise=permuted(order))
        require_near(problem, torch.float64, vector(moved), vector(gradient))
        require_near(problem, torch.float64, again, value)

    law()


@COUNTS
@pytest.mark.parametrize("name", names(*ORDERED_DRAWS))
def test_the_order_of_the_draws_moves_no_estimate(name, few):
    require_the_law_of_draws(estimators.get(name), few)


def require_the_law_of_data(estimator, few):
    n, _ = many(estimator)

    @chosen(few)
    @given(problem=problems(kinds(estimator)), order=orders(BATCH))
    def law(problem, order):
        other = replace(problem, parameters={key: value[order] for key, value in problem.parameters.items()})
        value, gradient = seeded(estimator, problem, n=n)
        again, moved = seeded(estimator, other, n=n, noise=permuted(order, slower=lambda length: True))
        require_near(problem, torch.float64, vector(moved), vector(gradient)[order])
        require_near(problem, torch.float64, again, value[order])

    law()


@COUNTS
@pytest.mark.parametrize("name", names())
def test_the_order_of_the_data_is_that_of_the_estimates(name, few):
    require_the_law_of_data(estimators.get(name), few)


def require_the_law_of_coordinates(estimator, few):
    n, _ = many(estimator)

    @chosen(few)
    @given(data=st.data())
    def law(data):
        problem = data.draw(problems(arrangeable(estimator), 2))
        order = data.draw(orders(coordinates(problem)[1]))
        noise = permuted(order, lambda length: length % BATCH != 0, categories=problem.name == "single one-hot")
        value, gradient = seeded(estimator, problem, n=n)
        again, moved = seeded(estimator, reordered(problem, order), n=n, noise=noise)
        require_near(problem, torch.float64, vector(moved), vector(arranged(problem, gradient, order)))
        require_near(problem, torch.float64, again, value)

    law()


@COUNTS
@pytest.mark.parametrize("name", names(*ORDERED_COORDINATES))
def test_the_order_of_the_coordinates_is_that_of_the_gradient(name, few):
    require_the_law_of_coordinates(estimators.get(name), few)


def arrangeable(estimator):
    """The cases whose coordinates can be put in another order: not a triangular factor's, as the other order has none,
    nor a chain's; the categories of a single variable where the estimator does not order them itself."""
    ordered = getattr(estimator, "name", "") in ORDERED_CATEGORIES
    return [
        case
        for case in kinds(estimator)
        if case.name not in {"full normal", "linked bits"} and not (case.name == "single one-hot" and ordered)
    ]


def coordinates(problem):
    """The axis of z and of the parameters along which the coordinates are, and their number."""
    axis = -2 if problem.name == "one-hot" else -1
    return axis, next(iter(problem.parameters.values())).shape[axis]


def arranged(problem, values, order):
    axis, _ = coordinates(problem)
    return {key: value.index_select(value.dim() + axis, order) for key, value in values.items()}


def reordered(problem, order):
    """The same problem with its coordinates (the categories of a single variable) in another order."""
    axis, _ = coordinates(problem)
    other = changed(problem, lambda value: value, lambda z: z.index_select(z.dim() + axis, order.argsort()))
    if isinstance(problem.f, Terms):
        other = replace(other, f=Terms(other.f.terms, problem.f.depends[:, order]))
    return replace(other, parameters=arranged(problem, problem.parameters, order))


@pytest.mark.parametrize("name", ORDERED_DRAWS)
def test_what_an_order_of_the_draws_moves_is_told_rightly(name):
    with pytest.raises(AssertionError):
        require_the_law_of_draws(estimators.get(name), 10)


@pytest.mark.parametrize("name", [*ORDERED_CATEGORIES, *ORDERED_COORDINATES])
def test_what_an_order_of_coordinates_moves_is_told_rightly(name, monkeypatch):
    monkeypatch.setattr("tests.estimators.test_laws.ORDERED_CATEGORIES", {})
    with pytest.raises(AssertionError):
        require_the_law_of_coordinates(estimators.get(name), 20)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ORDERED_CATEGORIES, *ORDERED_COORDINATES])
def test_the_mean_has_the_order_of_the_coordinates(name):
    estimator = estimators.get(name)
    for case in [each for each in kinds(estimator, Function) if each.name != "full normal"][:3]:
        other = reordered(case, torch.arange(coordinates(case)[1]).flip(0))
        require_mean(lambda count, s: estimates(estimator, other, draws(estimator), count, s), truth(other)[1], name, 0)  # noqa: B023


# --- the laws can fail ---


@dataclass(frozen=True)
class Broken(Reinforce):
    """A score function whose coefficient is a faulty function of f."""

    fault: Callable[[torch.Tensor], torch.Tensor] = torch.zeros_like

    def surrogate(self, q, f, n):
        z = q.sample((n,))
        value = f.held(z, q)
        return (value + (self.fault(value.detach()) * q.log_prob(z))).mean(0)


FAULTS = {
    require_the_law_of_a_constant: lambda value: value - 0.999 * value.mean(0),
    require_the_law_of_a_factor: lambda value: value + 1e-3,
    require_the_law_of_draws: lambda value: value - value[:1],
    require_the_law_of_data: lambda value: value - 1e-3 * value[:, :1],
}


@pytest.mark.parametrize("law", FAULTS, ids=lambda law: law.__name__)
def test_a_fault_breaks_a_law(law):
    with pytest.raises(AssertionError):
        law(Broken(FAULTS[law]), 10)


def test_a_coordinate_that_counts_twice_breaks_a_law():
    class Twice(Broken):
        def surrogate(self, q, f, n):
            z = q.sample((n,))
            return (f.held(z, q) + z.flatten(2)[..., 0].detach() * q.log_prob(z)).mean(0)

    with pytest.raises(AssertionError):
        require_the_law_of_coordinates(Twice(), 10)


def test_digits_lost_in_single_precision_break_a_law():
    with pytest.raises(AssertionError):
        require_the_law_of_a_constant(Broken(lambda value: (value + 1e3) - (value + 1e3).mean(0)), 20)


# --- batches and parameters ---


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_one_is_no_batch(name):
    estimator = estimators.get(name)
    for case in kinds(estimator)[:3]:
        value, gradient = seeded(estimator, replace(case, parameters=case.at(1)))
        alone, single = seeded(estimator, case)
        require_near(case, torch.float64, value[0], alone)
        require_near(case, torch.float64, as_vectors(gradient), as_vectors(single))


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_that_q_ignores_gets_exactly_zero(name):
    """One that q is made without, and one that is multiplied by 0: neither none nor NaN."""
    for case in kinds(estimators.get(name))[:3]:
        gradient = with_silent_parameters(estimators.get(name), case)
        assert (gradient["unused"] == 0).all() and (gradient["silent"] == 0).all()


def with_silent_parameters(estimator, case):
    first = next(iter(case.parameters))

    def build(unused, silent, **values):
        return case.build(**(values | {first: values[first] + 0 * silent}))

    values = {key: value.clone() for key, value in case.at(BATCH).items()}
    extra = {"unused": torch.ones(BATCH, dtype=torch.float64), "silent": torch.ones_like(values[first])}
    return torch.func.grad(lambda every: estimator.surrogate(build(**every), case.f, draws(estimator)).sum())(
        values | extra
    )
