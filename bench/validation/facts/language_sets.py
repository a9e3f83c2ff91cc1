"""Language models: objectives of several answers, pass@k and max@k."""

import math
from collections.abc import Iterator

import torch

from bench.distributions.prefix_policy import LanguagePolicy
from bench.objectives import objectives
from bench.objectives.right_answers import TableReward
from bench.problems.problem import Problem
from bench.validation.facts.ad_hoc_problem import PosedTarget
from bench.validation.facts.all_rollouts import (
    enumerated_mean,
    enumerated_variance,
    gradient_of,
    over_rollouts,
    small_policy,
    small_problem,
    target_gradient,
)
from bench.validation.facts.fact import Check, FactResults, above, below, exact, fact
from bench.validation.facts.rollout_checks import has_mean, is_apart, is_vector
from bench.validation.facts.sampler import Sampler
from estimators.order_statistics import OrderStatistics
from estimators.policy.sets import SET_PARTS

PASS_AT_K = "Walder, Karkhanis 2025, arXiv:2505.15201; Chen et al. 2021, arXiv:2107.03374, equation 1"


@fact("language", "sets", PASS_AT_K)
def weights_of_pass_at_k_are_unbiased(sampler: Sampler) -> FactResults:
    """For pass@k and max@k the plain weights and both with leave-one-out are unbiased from n ≥ k draws (n > k), without
    another 1/n; which of them has the least variance depends on the success rate."""
    family = small_policy()
    problem = Problem(family, objectives.get("best_answer", draws=2))
    g = target_gradient(problem)
    graded = torch.linspace(-1, 1, 15, dtype=torch.float64).sin().expand(2, -1)
    maximum = Problem(family, PosedTarget(f=OrderStatistics.maximum(TableReward(graded).of, 2)))
    best = gradient_of(maximum, lambda law: pairs_maximum(law.exp(), graded))
    for form in SET_PARTS:
        yield from weights_by_formula(form)
        yield is_vector(f"pass@2 of 3, {form}", g, enumerated_mean(problem, over_rollouts(set=form), 3))
        yield is_vector(f"max@2 of 3, {form}", best, enumerated_mean(maximum, over_rollouts(set=form), 3))
        yield from has_mean(sampler, f"pass@2 of 4, {form}", problem, over_rollouts(set=form), 4, mean=g)
    success = target_gradient(small_problem())
    yield is_apart("pass@2 is not pass@1", g, success)
    yield from variances_by_rate()


def pairs_maximum(law: torch.Tensor, rewards: torch.Tensor) -> torch.Tensor:
    """Returns E max(R, R') of two independent answers, `[B]`."""
    best = torch.maximum(rewards.unsqueeze(-1), rewards.unsqueeze(-2))
    return (law.unsqueeze(-1) * law.unsqueeze(-2) * best).sum((-2, -1))


def weights_by_formula(form: str, n: int = 6, k: int = 3) -> Iterator[Check]:
    """Checks the weights for rewards 0 and 1 against binomial coefficients, for every number c of right answers."""
    C, worst = math.comb, 0.0
    for c in range(n + 1):
        rewards = torch.tensor([1.0] * c + [0.0] * (n - c), dtype=torch.float64)
        others = max(n - 1 - c, 0)
        lost = C(others, k - 1) / C(n - 1, k - 1)
        expected = {
            "plain": (k / n, k / n * (1 - lost)),
            "leave_one_out": (k / n * C(n - c, k - 1) / C(n - 1, k - 1), 0.0),
            "leave_one_out_sets": (k / n * C(n - c, k) / C(n - 1, k), k / n * (C(others, k) / C(n - 1, k) - lost)),
        }[form]
        w = SET_PARTS[form](rewards, k)
        formula = rewards * expected[0] + (1 - rewards) * expected[1]
        worst = max(worst, float((w - formula).abs().max()))
    yield exact(f"{form}: weights of {n} draws for k = {k} less the formula", 0.0, worst, 1e-12, scale=1.0)


def variances_by_rate() -> Iterator[Check]:
    """Checks where a baseline of other draws raises the variance."""
    for rate, is_rare in ((0.02, True), (0.98, False)):
        problem = Problem(small_policy(prompts=1, rate=rate), objectives.get("best_answer", draws=2))
        assert isinstance(problem.family, LanguagePolicy)
        others, sets = (
            enumerated_variance(problem, over_rollouts(set=form), 3) for form in ("leave_one_out", "leave_one_out_sets")
        )
        check = above if is_rare else below
        yield check(f"p = {rate}: variance, all other sets ÷ the other k − 1", 1.0, sets / others)
        single = small_problem(prompts=1, rate=rate)
        none, one_out = (
            enumerated_variance(single, over_rollouts(baseline=each), 3) for each in ("none", "leave_one_out")
        )
        yield check(f"p = {rate}: variance, leave-one-out ÷ no baseline", 1.0, one_out / none)
