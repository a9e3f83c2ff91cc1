"""Language models: means over tokens where answers differ in length."""

import math

import torch

from bench.distributions.prefix_policy import PrefixPolicyFamily
from bench.problems.problem import Problem
from bench.validation.facts.all_rollouts import (
    enumerated_mean,
    length_gradient,
    over_rollouts,
    policy_of,
    rewarded,
    small_problem,
    target_gradient,
)
from bench.validation.facts.fact import Curve, FactResults, Picture, above, below, exact, fact, near
from bench.validation.facts.language_groups import DR_GRPO, by_prompt, points_of
from bench.validation.facts.measured_points import GridPoint, points_table
from bench.validation.facts.rollout_checks import (
    GradientVector,
    degrees_between,
    has_mean,
    is_vector,
    slope_along_update,
)
from bench.validation.facts.sampler import Sampler
from estimators.policy import PolicyGradient

REINFORCE_PP = "Hu 2025 (REINFORCE++), arXiv:2501.03262"


def averaged_over_tokens(aggregate: str, baseline: str = "leave_one_out") -> PolicyGradient:
    """Returns the estimator that averages over tokens in this way."""
    return over_rollouts(aggregate=aggregate, baseline=baseline)


def same_direction(mean: GradientVector, g: GradientVector) -> GradientVector:
    """Returns the part of a mean along the exact gradient: what it would be without a turn."""
    return (mean @ g) / g.square().sum() * g


@fact("language", "lengths", f"{DR_GRPO}, section 3.1; Shao et al. 2024, arXiv:2402.03300; {REINFORCE_PP}")
def means_over_tokens_turn_the_gradient(sampler: Sampler) -> FactResults:
    """A mean over each answer's tokens (1/L) turns the gradient where lengths differ, by an angle that depends on the
    baseline; a mean over the batch's tokens is mostly a scale, the more so the more rollouts it has; whitening over
    tokens turns the gradient within a prompt; a constant divisor does not."""
    problem = small_problem()
    g = target_gradient(problem)
    means = {
        b: enumerated_mean(problem, averaged_over_tokens("sequence_mean", b), 3) for b in ("none", "leave_one_out")
    }
    angles = {b: degrees_between(mean, g) for b, mean in means.items()}
    for b, angle in angles.items():
        yield above(f"1/L, baseline {b}: angle, degrees", 1.0, angle)
    yield above("1/L: difference of the angles", 0.5, abs(angles["none"] - angles["leave_one_out"]))
    for b, mean in means.items():
        estimator, turned = averaged_over_tokens("sequence_mean", b), same_direction(mean, g)
        yield from has_mean(sampler, f"1/L, baseline {b}", problem, estimator, 3, mean=mean, target=turned, full=2**16)
    divided = over_rollouts(baseline="leave_one_out", divisor=3.0)
    yield is_vector("÷ 3", g / 3, enumerated_mean(problem, divided, 2))
    group = by_prompt(enumerated_mean(problem, averaged_over_tokens("group_token_mean"), 2), 2)
    own = by_prompt(g, 2)
    weights = [float(group[b] @ own[b] / own[b].square().sum()) for b in range(2)]
    yield above("mean over the group's tokens: one prompt's weight ÷ the other's", 1.01, max(weights) / min(weights))
    yield from rollouts_of_a_token_mean()
    yield from whitening()


def rollouts_of_a_token_mean() -> FactResults:
    """Checks that a mean over all tokens turns less with more rollouts, and nothing with equal lengths."""
    one = small_problem(prompts=1)
    g = target_gradient(one)
    few, more = (degrees_between(enumerated_mean(one, averaged_over_tokens("batch_token_mean"), K), g) for K in (2, 3))
    yield above("mean over the batch's 2 rollouts' tokens: angle, degrees", 0.01, few)
    yield below("3 rollouts: angle ÷ that of 2", 1.0, more / few)
    logits = policy_of(one).logits.detach().clone()
    logits[..., -1] -= 60.0
    equal = rewarded(PrefixPolicyFamily.of(logits.numpy()), torch.arange(15.0, dtype=torch.float64).cos().unsqueeze(0))
    g = target_gradient(equal)
    for aggregate in ("sequence_mean", "group_token_mean", "batch_token_mean"):
        yield is_vector(
            f"equal lengths, {aggregate}", g / 3, enumerated_mean(equal, averaged_over_tokens(aggregate), 2)
        )


def whitening() -> FactResults:
    """Checks that a whitening over tokens turns the gradient within a prompt, and a deviation of rewards does not."""
    one = small_problem(prompts=1)
    g = target_gradient(one)
    white = enumerated_mean(one, over_rollouts(scale="whitening"), 3)
    deviation = enumerated_mean(one, over_rollouts(baseline="group_mean", scale="batch"), 3)
    yield above("whitening over tokens: angle, degrees", 0.5, degrees_between(white, g))
    yield exact("deviation over rollouts: angle, degrees", 0.0, degrees_between(deviation, g), 1e-5, scale=1.0)


AVERAGES = {
    "token sum": "token_sum",
    "1/L": "sequence_mean",
    "mean over the batch's tokens": "batch_token_mean",
}


@fact("language", "lengths", f"claimed: 1/L favours short right answers and long wrong ones, {DR_GRPO}, section 3.1")
def what_one_over_length_does_to_length(sampler: Sampler) -> FactResults:
    """Dividing by an answer's length changes the derivative of the expected length along the update: upwards
    where right answers are long, at every success rate, and downwards where they are short and frequent."""
    table = []
    for law in ("short", "long"):
        curves, changes = [], []
        lines: dict[str, list[float]] = {name: [] for name in AVERAGES}
        points: dict[str, list[tuple[float, float, float]]] = {name: [] for name in AVERAGES}
        rates = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95)
        for rate in rates:
            problem = small_problem(size=4, prompts=1, law=law, rate=rate)
            longer = length_gradient(problem)
            for name, aggregate in AVERAGES.items():
                mean = enumerated_mean(problem, averaged_over_tokens(aggregate), 2)
                lines[name].append(float(mean @ longer / mean.norm()))
                if rate in (0.1, 0.5, 0.9):
                    slope, error = measured_slope(sampler, problem, averaged_over_tokens(aggregate), mean, longer)
                    what = f"right answers {law}, p = {rate}, {name}: derivative of E L, measured"
                    yield near(what, lines[name][-1], slope, error, 0.1, scale=float(longer.norm()))
                    points[name].append((rate, slope, error))
            changes.append(lines["1/L"][-1] - lines["token sum"][-1])
            point = GridPoint("change by 1/L", law, rate, changes[-1])
            if points["1/L"] and points["1/L"][-1][0] == rate:
                (_, with_it, e1), (_, without, e2) = points["1/L"][-1], points["token sum"][-1]
                point = point.with_draws(with_it - without, math.hypot(e1, e2))
            table.append(point)
        yield above(f"right answers {law}: largest change by 1/L", 0.01, max(abs(each) for each in changes))
        if law == "long":
            yield above("right answers long: least change by 1/L", 0.01, min(changes))
        else:
            yield below("right answers short, p = 0.9: change by 1/L", -0.01, changes[rates.index(0.9)])
        for name in AVERAGES:
            curves += [Curve(name, list(rates), lines[name]), points_of(f"{name}, measured", points[name])]
        yield Picture(f"Right answers are {law}", "success rate p", "derivative of E L along the unit update", curves)
    yield points_table(table)


def measured_slope(
    sampler: Sampler, problem: Problem, estimator: PolicyGradient, mean: GradientVector, longer: GradientVector
) -> tuple[float, float]:
    """Returns the derivative of E L along the unit mean update, by draws, and 4 standard errors."""
    return slope_along_update(sampler.estimates(problem, estimator, 2, 2**16), mean, longer)
