"""Objectives of several draws at once: exact means over every possible sample, and closed forms of the weights."""

import itertools
import runpy
from math import comb
from pathlib import Path

import pytest
import torch

import estimators
from bench.distributions import distributions
from bench.objectives import objectives
from bench.problems.exact import reference
from bench.problems.problem import Problem
from bench.problems.theta import as_vector
from estimators import BadInput, Estimator, Function, ImportanceBound, Need, OrderStatistics, Traits, offers, unmet
from estimators.checks.cases import build_single as single_hot
from estimators.order_statistics import maximum_weights, smaller_weights, subset_coefficients, tail_weights
from estimators.score_function import scored
from estimators.tools.parameters import sample
from tests.support.cases import bits, build_normal, double, log_joint_of_line
from tests.support.every_draw import every_sample, exact_mean, exact_variance, gradient_of_mean
from tests.support.exactness import assert_unbiased, enough

THREE = {"logits": double(0.3, -0.9, 0.5)}
REWARD = double(0.4, 2.5, -1.2)


def reward(z):
    return z @ REWARD.to(z)


def of_two_bits(z):
    return (z.sum(-1) - 0.7).square() - 1.5 * z[..., 0] * z[..., 1]


MAX2, MAX3 = OrderStatistics.maximum(reward, 2), OrderStatistics.maximum(reward, 3)
TAIL = OrderStatistics.conditional_value_at_risk(reward, 3, 0.5)
ANY = OrderStatistics(reward, [0.7, -0.4, 1.9])
CASES = {
    "max of 2": (single_hot, THREE, MAX2),
    "max of 3": (single_hot, THREE, MAX3),
    "tail of 3": (single_hot, THREE, TAIL),
    "any weights": (single_hot, THREE, ANY),
    "equal rewards": (single_hot, THREE, OrderStatistics.maximum(lambda z: z[..., 0], 2)),
    "two bits": (bits, {"logits": double(-0.8, 0.9)}, OrderStatistics.maximum(of_two_bits, 2)),
    "extreme": (single_hot, {"logits": double(6.0, -6.0, 0.0)}, MAX2),
    "bound": (bits, {"logits": double(-0.8, 0.9)}, ImportanceBound(of_two_bits, 2)),
    "bound of Rényi": (bits, {"logits": double(-0.8, 0.9)}, ImportanceBound(of_two_bits, 2, alpha=0.4)),
}
ESTIMATORS = {
    "set_reinforce": (estimators.get("set_reinforce"), 1),
    "set_rloo": (estimators.get("set_rloo"), 2),
    "subset_score none": (estimators.get("subset_score", baseline="none"), 1),
    "subset_score none, 2 sets": (estimators.get("subset_score", baseline="none"), 2),
    "subset_score smaller": (estimators.get("subset_score"), 1),
    "subset_score smaller, 2 sets": (estimators.get("subset_score"), 2),
    "subset_score others": (estimators.get("subset_score", baseline="others"), 2),
}
PAIRS = [
    (case, name)
    for case in CASES
    for name in ESTIMATORS
    if isinstance(CASES[case][2], OrderStatistics) or not name.startswith("subset")
]


@pytest.mark.parametrize(("case", "name"), PAIRS)
def test_the_mean_over_every_sample_is_the_gradient(case, name):
    (build, parameters, f), (estimator, n) = CASES[case], ESTIMATORS[name]
    assert unmet(estimator, build(**parameters), f, n) is None
    found = exact_mean(estimator, build, parameters, f, n)
    torch.testing.assert_close(found, gradient_of_mean(build, parameters, f), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_value_is_the_mean_of_f(name):
    estimator, n = ESTIMATORS[name]
    build, parameters, f = CASES["any weights"]
    _, value, p = every_sample(estimator, build, parameters, f, n)
    q = build(**parameters)
    z = torch.eye(3, dtype=torch.float64)
    sets = torch.cartesian_prod(*[torch.arange(3)] * 3)
    torch.testing.assert_close(p @ value, (q.log_prob(z)[sets].sum(1).exp() * f(z[sets], q)).sum())


class Centred(Estimator):
    """Wrong: the baseline is the mean over all sets, with the own one."""

    traits = Traits(unbiased=True)

    def surrogate(self, q, f, n):
        assert isinstance(f, OrderStatistics)
        z = sample(q, n, f.draws)
        value = f(z, q)
        return scored(value, value - value.mean(0), q.log_prob(z).sum(1))


class OwnBest(Estimator):
    """Wrong: the baseline of each draw is the best reward of all draws but the best one, itself among them."""

    traits = Traits(unbiased=True)

    def surrogate(self, q, f, n):
        assert isinstance(f, OrderStatistics)
        z = sample(q, n, f.draws)
        value, log_q = f(z, q), q.log_prob(z)
        second = f.rewards(z, q).sort(1).values[:, -2]
        return scored(value, value - second, log_q.sum(1))


class Mean(Estimator):
    """Wrong: leave-one-out on the rewards themselves, which is the gradient of their mean and not of their maximum."""

    traits = Traits(unbiased=True)

    def surrogate(self, q, f, n):
        assert isinstance(f, OrderStatistics)
        z = sample(q, n * f.draws)
        r = f.rewards(z, q)
        return scored(r, r - (r.sum(0) - r) / (len(r) - 1), q.log_prob(z))


@pytest.mark.parametrize(("mutant", "n"), [(Centred(), 2), (OwnBest(), 1), (Mean(), 1)])
def test_wrong_baselines_are_biased(mutant, n):
    build, parameters, f = CASES["max of 3"]
    found, exact = exact_mean(mutant, build, parameters, f, n), gradient_of_mean(build, parameters, f)
    assert (found - exact).norm() > 0.05 * exact.norm()


def test_the_bound_is_one_case():
    """On an importance-weighted bound, `set_reinforce` is `importance_reinforce`, sample by sample."""
    build, parameters, f = CASES["bound of Rényi"]
    plain, _, p = every_sample(estimators.get("importance_reinforce"), build, parameters, f, 1)
    found, _, same = every_sample(estimators.get("set_reinforce"), build, parameters, f, 1)
    torch.testing.assert_close(found, plain)
    torch.testing.assert_close(p, same)
    assert offers(build(**parameters), f) >= {Need.SETS, Need.IMPORTANCE_BOUND}


def test_pooled_draws_have_the_lower_variance():
    """Exact variances with two sets: of all subsets, and with each of the two baselines."""
    build, parameters, f = CASES["tail of 3"]
    found = [
        exact_variance(ESTIMATORS[name][0], build, parameters, f, 2)
        for name in ("set_reinforce", "subset_score none", "subset_score others", "subset_score smaller")
    ]
    assert found[0] > found[1] > 2 * found[2] > 2 * found[3]


# The weights of N draws ----------------------------------------------------------------------------------------------


def by_subsets(r, c, baseline):
    """Every set of K among N draws, one after another."""
    N, K = len(r), len(c)

    def value(chosen, c=c):
        return sum(weight * each for weight, each in zip(c, sorted(r[list(chosen)].tolist()), strict=True) if weight)

    w = torch.zeros(N, dtype=torch.float64)
    for chosen in itertools.combinations(range(N), K):
        for k in chosen:
            rest = [j for j in range(N) if j != k]
            if baseline == "smaller":
                less = value([j for j in chosen if j != k], smaller_weights(double(*c)).tolist())
            else:
                without = (
                    [value(others) for others in itertools.combinations(rest, K)] if baseline == "others" else [0.0]
                )
                less = sum(without) / len(without)
            w[k] += (value(chosen) - less) / comb(N, K)
    return w, sum(map(value, itertools.combinations(range(N), K))) / comb(N, K)


@pytest.mark.parametrize("baseline", ["none", "smaller", "others"])
@pytest.mark.parametrize(
    "c", [maximum_weights(3), tail_weights(4, 0.3), (0.7, -0.4, 1.9), maximum_weights(2), (1.0, 0.0)]
)
def test_weights_are_those_of_all_subsets(c, baseline):
    r = double(0.3, -1.2, 0.3, 2.0, 0.7, 2.0, -0.4)
    w, value = by_subsets(r, c, baseline)
    found = subset_coefficients(r, c, baseline)
    torch.testing.assert_close(found[0], w, rtol=1e-12, atol=1e-13)
    assert float(found[1]) == pytest.approx(value, rel=1e-12)


NEVER = float("-inf")


@pytest.mark.parametrize("baseline", ["none", "smaller", "others"])
@pytest.mark.parametrize("r", [(0.0, 5.0, 3.0, NEVER), (NEVER, 2.0, 1.0, 4.0, 5.0), (NEVER, NEVER, 2.0, 1.0)], ids=str)
def test_rewards_of_minus_infinity_count_where_no_other_is_larger(r, baseline):
    """A set's largest reward is finite if one of them is; a baseline of −∞ makes a weight of ∞, never NaN."""
    f = OrderStatistics.maximum(lambda z: z, 3)
    assert f(double(r[:3], (1.0, NEVER, NEVER)), None).tolist() == [max(r[:3]), 1.0]  # type: ignore[arg-type]
    w, value = by_subsets(double(*r), maximum_weights(3), baseline)
    found = subset_coefficients(double(*r), maximum_weights(3), baseline)
    torch.testing.assert_close(found[0], w, rtol=1e-12, atol=1e-13)
    assert float(found[1]) == pytest.approx(value, rel=1e-12) and not found[0].isnan().any()


@pytest.mark.parametrize(("n", "k"), [(7, 3), (10, 4), (5, 2), (6, 5)])
def test_pass_at_k(n, k):
    """0/1 rewards, c of n right: Chen et al. 2021 for the value, and the three forms of its weights."""
    for c in range(n + 1):
        r = torch.cat([torch.ones(c), torch.zeros(n - c)]).double()

        def weights(baseline, r=r):
            return subset_coefficients(r, maximum_weights(k), baseline)

        def expect(right, wrong, c=c):
            return double(*[right] * c, *[wrong] * (n - c))

        most, missed = comb(n - 1, k - 1), comb(max(n - 1 - c, 0), k - 1)
        assert float(weights("none")[1]) == pytest.approx(1 - comb(n - c, k) / comb(n, k), abs=1e-14)
        plain = expect(k / n, k / n * (1 - missed / most))
        torch.testing.assert_close(weights("none")[0], plain, rtol=1e-12, atol=1e-14)
        decides = expect(k / n * comb(n - c, k - 1) / most, 0.0)
        torch.testing.assert_close(weights("smaller")[0], decides, rtol=1e-12, atol=1e-14)
        less = comb(max(n - 1 - c, 0), k) / comb(n - 1, k) - missed / most
        others = expect(k / n * comb(n - c, k) / comb(n - 1, k), k / n * less)
        torch.testing.assert_close(weights("others")[0], others, rtol=1e-12, atol=1e-14)


def test_max_at_k():
    """Graded rewards in order: the two closed forms of max@k."""
    n, k = 8, 3
    g = double(-2.0, -1.1, 0.2, 0.3, 0.9, 1.4, 1.5, 4.0)
    plain, decides = torch.zeros(n).double(), torch.zeros(n).double()
    for i in range(1, n + 1):
        later = sum(comb(j - 2, k - 2) * g[j - 1] for j in range(i + 1, n + 1))
        plain[i - 1] = (comb(i - 1, k - 1) * g[i - 1] + later) / comb(n, k)
        decides[i - 1] = sum(comb(j - 1, k - 2) * (g[i - 1] - g[j - 1]) for j in range(1, i)) / comb(n, k)
    order = torch.tensor([3, 0, 7, 5, 1, 2, 6, 4])
    torch.testing.assert_close(subset_coefficients(g[order], maximum_weights(k), "none")[0], plain[order])
    torch.testing.assert_close(subset_coefficients(g[order], maximum_weights(k))[0], decides[order])


def test_a_constant_changes_nothing_and_many_draws_are_quick():
    r = torch.randn(512, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for baseline in ("smaller", "others"):
        w, _ = subset_coefficients(r, tail_weights(16, 0.25), baseline)
        moved, _ = subset_coefficients(r + 1e9, tail_weights(16, 0.25), baseline)
        torch.testing.assert_close(moved, w, rtol=1e-5, atol=1e-9)
        assert not subset_coefficients(torch.full((9,), 7.0), maximum_weights(4), baseline)[0].any()


def test_the_mean_of_all_rewards_is_leave_one_out():
    """K equal weights 1/K: the coefficients of RLOO over N draws."""
    r = double(0.3, -1.2, 0.5, 2.0, 0.7)
    w, value = subset_coefficients(r, [0.5, 0.5], "others")
    torch.testing.assert_close(w, (r - (r.sum() - r) / 4) / 5)
    torch.testing.assert_close(value, r.mean())


def test_weights_of_a_tail():
    assert tail_weights(4, 0.25) == (1.0, 0.0, 0.0, 0.0)
    assert tail_weights(4, 1.0) == (0.25,) * 4
    assert sum(tail_weights(7, 0.33)) == pytest.approx(1)


# Targets with exact gradients ----------------------------------------------------------------------------------------


def problem(objective, family, point="default", **settings):
    size = {"size": 1, "categories": 3} if family == "categorical" else {"size": 2}
    return Problem(distributions.get(family, **size), objectives.get(objective, **settings), point=point)


@pytest.mark.parametrize("point", ["default", "extreme"])
@pytest.mark.parametrize("family", ["bernoulli", "categorical", "bernoulli_chain"])
@pytest.mark.parametrize(
    ("objective", "settings"), [("max_of_draws", {}), ("tail_of_draws", {"draws": 4, "share": 0.3})]
)
def test_the_law_of_a_reward_gives_the_sum_over_every_set(objective, settings, family, point):
    which = problem(objective, family, point, **settings)
    exact = reference(which)
    assert exact is not None
    assert exact.method == "closed form"
    f = which.function(torch.zeros((), dtype=torch.float64))
    theta = which.theta()
    found = gradient_of_mean(lambda **values: which.build(which.encode(values)), theta, f)
    torch.testing.assert_close(as_vector(exact.gradient), found, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("loc", [0.0, 0.7, 30.0])
def test_the_law_of_a_normal_gives_known_expectations(loc):
    """K equal weights give E −x²; weights on one of two draws are checked against a grid of both."""
    from bench.objectives.sets_of_draws import normal_square

    m, s = double(loc)[0], double(1.3)[0]
    for level in (0, 1):
        mean = normal_square((0.5, 0.5), m, s, level)
        assert float(mean) == pytest.approx(-(loc**2 + 1.69), rel=1e-12)
    e = torch.linspace(-8, 8, 1601, dtype=torch.float64)
    w = torch.exp(-e.square() / 2)
    r = -(m + s * e).square()
    grid = (w[:, None] * w * torch.maximum(r[:, None], r)).sum() / w.sum().square()
    assert float(normal_square((0.0, 1.0), m, s, 1)) == pytest.approx(float(grid), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("objective", ["max_of_draws", "tail_of_draws"])
def test_paths_and_scores_agree_with_the_law_of_a_normal(objective):
    which = problem(objective, "normal")
    exact = reference(which)
    assert exact is not None
    f, theta = which.function(torch.zeros((), dtype=torch.float64)), which.encode(which.theta())

    def build(**values):
        return which.build(values)

    def mean(values):
        found = which.objective.expectation(which.family, "default", values, 1)
        assert found is not None
        return found.sum()

    truth = torch.cat([each.flatten() for each in torch.func.grad(mean)(theta).values()])
    for name, most in (("set_pathwise", 100_000), ("subset_score", 400_000)):
        assert_unbiased(enough(estimators.get(name), build, theta, f, 1, most), truth)


# What does not fit ---------------------------------------------------------------------------------------------------


def test_single_draws_and_sets_are_told_apart():
    q = single_hot(**THREE)
    assert "several draws at once" in str(unmet(estimators.get("rloo"), q, MAX3, 2))
    assert "several draws at once" in str(unmet(estimators.get("set_rloo"), q, Function(reward), 2))
    assert "importance-weighted" in str(unmet(estimators.get("vimco"), q, MAX3, 2))
    assert "sorted rewards" in str(unmet(estimators.get("subset_score"), q, ImportanceBound(reward, 2), 2))
    assert "n counts sets" in str(unmet(estimators.get("set_rloo"), q, MAX3, 1))
    with pytest.raises(TypeError, match="OrderStatistics"):
        estimators.get("subset_score").surrogate(q, Function(reward), 2)
    with pytest.raises(TypeError, match="SetObjective"):
        estimators.get("set_reinforce").surrogate(q, Function(reward), 2)


def test_a_path_needs_a_differentiable_reward():
    q = build_normal(double(0.6, -0.8), double(0.7, 1.1))
    assert unmet(estimators.get("set_pathwise"), q, OrderStatistics.maximum(log_joint_of_line, 2), 1) is not None
    smooth = OrderStatistics.maximum(log_joint_of_line, 2, differentiable=True)
    assert unmet(estimators.get("set_pathwise"), q, smooth, 1) is None


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: OrderStatistics(reward, [1.0]), "at least 2 weights"),
        (lambda: OrderStatistics(reward, [1.0, float("nan")]), "all finite"),
        (lambda: OrderStatistics.conditional_value_at_risk(reward, 3, 0.0), r"share .* \(0, 1\], found 0.0"),
        (lambda: subset_coefficients(torch.zeros(2), maximum_weights(3)), "2 rewards are too few for sets of 3"),
        (lambda: subset_coefficients(torch.zeros(3), maximum_weights(3), "others"), "at least 4"),
        (lambda: estimators.get("subset_score", baseline="non"), "baseline"),
        (lambda: objectives.get("max_of_draws", draws=1), "max_of_draws takes at least 2 draws"),
        (lambda: objectives.get("tail_of_draws", share=1.5), "share"),
    ],
)
def test_bad_input_is_told(call, said):
    with pytest.raises(BadInput, match=said):
        call()


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.uint8])
@pytest.mark.parametrize("baseline", ["none", "smaller"])
def test_rewards_may_be_whole_numbers_or_booleans(dtype, baseline):
    """Successes 0, 1, 1 and pairs of them: cast to the rewards' dtype, all weights would be 0."""
    successes, pairs = torch.tensor([0, 1, 1], dtype=dtype), maximum_weights(2)
    w, value = subset_coefficients(successes, pairs, baseline)
    right = {"none": [2 / 3, 2 / 3, 2 / 3], "smaller": [0.0, 1 / 3, 1 / 3]}[baseline]
    assert w.tolist() == pytest.approx(right) and float(value) == pytest.approx(1.0)


def test_the_tail_of_whole_numbers_is_their_mean():
    """The smallest 1.5 of the rewards 0, 1, 2: (0 + ½ · 1)/1.5."""
    f = OrderStatistics.conditional_value_at_risk(lambda z: z.long(), 3, 0.5)
    assert float(f(torch.tensor([[2.0, 1.0, 0.0]]), None)) == pytest.approx(1 / 3)


def test_the_example_trains_for_the_best_and_for_the_worst():
    """Uniform answers have 1.2 right tokens of 6; leave-one-out forms have less noise, most of all over all sets."""
    example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "several_draws_at_once.py"))
    torch.manual_seed(0)
    for goal in example["GOALS"]:
        plain, left_out, subsets = (example["variance"](name, goal, 2000) for name in example["ESTIMATORS"])
        assert subsets < 0.5 * left_out and left_out < 1.1 * plain
        assert example["train"]("subset_score", goal, steps=30) > 3
