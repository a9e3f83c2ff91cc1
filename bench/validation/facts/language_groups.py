"""Language models: means and deviations of a group of rollouts, and groups whose rewards are all equal."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from bench.distributions.prefix_policy import PrefixPolicyFamily
from bench.problems.problem import Problem
from bench.validation.facts.all_rollouts import (
    enumerated_mean,
    over_rollouts,
    policy_of,
    rewarded,
    small_policy,
    small_problem,
    target_gradient,
)
from bench.validation.facts.fact import Check, Curve, FactResults, Picture, Rows, above, below, exact, fact, near
from bench.validation.facts.measured_points import GridPoint, points_table
from bench.validation.facts.rollout_checks import (
    Estimates,
    GradientVector,
    degrees_between,
    has_mean,
    is_apart,
    is_vector,
    part_along,
    sample_has_mean,
)
from bench.validation.facts.sampler import Sampler

DR_GRPO = "Liu et al. 2025 (Dr. GRPO), arXiv:2503.20783"
DAPO = "Yu et al. 2025 (DAPO), arXiv:2503.14476, section 3.2"


@fact("language", "groups", f"{DR_GRPO}, appendix A; Kool et al. 2019")
def a_group_s_mean_shrinks_the_gradient(sampler: Sampler) -> FactResults:
    """Centring by the group's mean gives exactly 1 − 1/K times the gradient of leave-one-out, and centring by the mean
    over the batch's N rollouts 1 − 1/N times."""
    problem = small_problem()
    g = target_gradient(problem)
    for K in (2, 3):
        yield is_vector(
            f"K = {K}: leave-one-out", g, enumerated_mean(problem, over_rollouts(baseline="leave_one_out"), K)
        )
        group = enumerated_mean(problem, over_rollouts(baseline="group_mean"), K)
        yield is_vector(f"K = {K}: the group's mean ÷ (1 − 1/K)", g, group / (1 - 1 / K))
    for K in (1, 2):
        batch = enumerated_mean(problem, over_rollouts(baseline="batch_mean"), K, together=True)
        yield is_vector(f"N = {2 * K}: the batch's mean ÷ (1 − 1/N)", g, batch / (1 - 1 / (2 * K)))
    group, batch = over_rollouts(baseline="group_mean"), over_rollouts(baseline="batch_mean")
    yield from has_mean(sampler, "group of 4", problem, group, 4, mean=0.75 * g, target=g)
    yield from has_mean(sampler, "batch of 4", problem, batch, 2, mean=0.75 * g, target=g)
    other = small_problem("transformer_policy")
    g = target_gradient(other)
    yield from has_mean(sampler, "transformer, group of 2", other, group, 2, mean=0.5 * g, target=g)


def difficulty_weight(p: float, K: int, *, bessel: bool = False) -> float:
    """Returns c(p, K) = E_{j~Bin(K,p)} √(j(K−j)) / (K p(1−p)), the weight of a prompt under a group's deviation.

    >>> difficulty_weight(0.1, 2), round(difficulty_weight(0.1, 3) / difficulty_weight(0.7, 3), 12)
    (1.0, 1.0)
    """
    found = sum(w * math.sqrt(j * (K - j)) for j, w in enumerate(binomial(K, p))) / (K * p * (1 - p))
    return found * (math.sqrt((K - 1) / K) if bessel else 1)


def binomial(K: int, p: float) -> list[float]:
    """Returns the probabilities of 0 … K successes."""
    return [math.comb(K, j) * p**j * (1 - p) ** (K - j) for j in range(K + 1)]


def off_policy_weight(p: float, K: int) -> float:
    """Returns a prompt's weight with a sequence ratio, from the number of right answers among the other K − 1 under μ.

    >>> abs(off_policy_weight(0.3, 5) - difficulty_weight(0.3, 5)) < 1e-12  # on-policy it is the same
    True
    """
    law = binomial(K - 1, p)
    right = [math.sqrt((K - j - 1) / (j + 1)) if j + 1 < K else 0.0 for j in range(K)]
    wrong = [-math.sqrt(j / (K - j)) if j else 0.0 for j in range(K)]
    return sum(w * (a - b) for w, a, b in zip(law, right, wrong, strict=True))


def by_prompt(vector: Tensor, prompts: int) -> Tensor:
    """Returns gradients in a table of logits by prompt: `[…, P]` as `[…, prompts, P ÷ prompts]`."""
    return vector.unflatten(-1, (prompts, -1))


def measured_prompt_weights(sample: Estimates, g: GradientVector, prompts: int) -> list[tuple[float, float]]:
    """Returns each prompt's gradient in the mean of the estimates along its own gradient, with 4 standard errors."""
    blocks, own = by_prompt(sample, prompts), by_prompt(g, prompts)
    return [part_along(blocks[:, b], own[b]) for b in range(prompts)]


def deviation_of_group(bessel: bool = False) -> dict[str, object]:
    """Returns the parts of a loss that divides by the group's standard deviation, without ε."""
    return {"baseline": "group_mean", "scale": "group", "bessel": bessel}


@fact(
    "language", "groups", f"claimed: a bias by difficulty, {DR_GRPO}, section 3.1; Shao et al. 2024, arXiv:2402.03300"
)
def a_group_s_deviation_weighs_prompts_by_difficulty(sampler: Sampler) -> FactResults:
    """With rewards 0 and 1, dividing by the group's standard deviation leaves every prompt's direction, and weighs
    prompts by c(p, K) = E √(j(K−j)) / (K p(1−p)), j ~ Bin(K, p): equal weights at K = 2 and 3, more for easy and hard
    prompts from K = 4 on."""
    problem = small_problem()
    g, rates = target_gradient(problem), problem.family.success(problem.theta()).tolist()  # type: ignore[attr-defined]
    for K, bessel in ((2, False), (2, True), (3, False)):
        mean = by_prompt(enumerated_mean(problem, over_rollouts(**deviation_of_group(bessel)), K), 2)
        for b, p in enumerate(rates):
            weight = difficulty_weight(p, K, bessel=bessel)
            what = f"K = {K}, {'K − 1' if bessel else 'K'} in the deviation, p = {p:.3f}"
            yield is_vector(f"{what}: mean ÷ c(p, K)", by_prompt(g, 2)[b], mean[b] / weight)
    weights = {K: [difficulty_weight(p, K) for p in (0.02, 0.2, 0.5)] for K in (2, 3, 4, 16)}
    for K in (2, 3):
        yield exact(f"K = {K}: c at p = 0.02 ÷ c at ½", 1.0, weights[K][0] / weights[K][2])
    for K in (4, 16):
        yield above(f"K = {K}: c at p = 0.02 ÷ c at ½", 1.05, weights[K][0] / weights[K][2])
    yield from off_policy_deviation()
    yield from measured_weights(sampler)


def off_policy_deviation() -> Iterator[Check]:
    """Checks that off-policy, with a sequence ratio, the other answers are counted under the behaviour."""
    problem, K = small_problem(logit_noise=0.6), 4
    q = policy_of(problem)
    assert q.behaviour is not None
    right = problem.family.right()  # type: ignore[attr-defined]
    g = by_prompt(target_gradient(problem), 2)
    found = by_prompt(enumerated_mean(problem, over_rollouts(ratio="sequence", **deviation_of_group()), K), 2)
    ours, theirs = ((each.sequence_log_probs().exp() * right).sum(-1).tolist() for each in (q, q.behaviour))
    for b in range(2):
        yield is_vector(f"off-policy, prompt {b}: mean ÷ c(p_μ, 4)", g[b], found[b] / off_policy_weight(theirs[b], K))
        yield is_apart(
            f"off-policy, prompt {b}: mean ÷ c(p_π, 4)", g[b], found[b] / off_policy_weight(ours[b], K), 1e-3
        )


def measured_weights(sampler: Sampler) -> FactResults:
    """Measures weights of nine prompts at five sizes of a group, against c(p, K); and draws them on its curves."""
    line = np.linspace(0.02, 0.98, 97)
    curves, table = [], []
    for K in (2, 3, 4, 8, 16):
        points: list[tuple[float, float, float]] = []
        for rate in (0.07, 0.5, 0.93):
            problem = small_problem(prompts=3, rate=rate)
            g, rates = target_gradient(problem), problem.family.success(problem.theta()).tolist()  # type: ignore[attr-defined]
            sample = sampler.estimates(problem, over_rollouts(**deviation_of_group()), K, 2**16 // K)
            for p, (weight, error) in zip(rates, measured_prompt_weights(sample, g, 3), strict=True):
                expected = difficulty_weight(p, K)
                yield near(f"K = {K}, p = {p:.3f}: measured weight", expected, weight, error, 0.5)
                points.append((p, weight, error))
                table.append(GridPoint("weight", f"K = {K}", p, expected).with_draws(weight, error))
                table.append(
                    GridPoint("weight ÷ c(p, K)", f"K = {K}", p, 1.0).with_draws(weight / expected, error / expected)
                )
        curves.append(Curve(f"K = {K}, c(p, K)", line.tolist(), [difficulty_weight(float(p), K) for p in line]))
        curves.append(points_of(f"K = {K}, measured", points))
        table.append(tilt(table, f"K = {K}", "all prompts", K))
    yield Picture("A prompt's weight under the group's deviation", "success rate p", "weight of ∇p", curves)
    yield points_table(table)


def tilt(table: list[GridPoint], series: str, named: str, K: int) -> GridPoint:
    """Returns the weight of the prompt whose success is farthest from ½ ÷ that of the nearest, as a point `named` so.

    The interval is that of a ratio of two weights whose errors do not depend on each other.
    """
    own = sorted((each for each in table if (each.quantity, each.series) == ("weight", series)), key=odds_from_even)
    near_half, far = own[0], own[-1]
    ratio = far.measured / near_half.measured
    errors = [(each.high - each.low) / 2 / each.measured for each in (near_half, far)]
    return GridPoint("tilt", named, float(K), far.exact / near_half.exact).with_draws(
        ratio, ratio * math.hypot(*errors)
    )


def odds_from_even(weight: GridPoint) -> float:
    """Returns the distance of a point's success rate from ½, in log odds."""
    return abs(math.log(weight.x / (1 - weight.x)))


def points_of(label: str, points: list[tuple[float, float, float]]) -> Curve:
    """Returns measured points (x, y, half of y's interval) with their intervals."""
    x, y, half = (list(each) for each in zip(*sorted(points), strict=True))
    low, high = ([a + sign * b for a, b in zip(y, half, strict=True)] for sign in (-1, 1))
    return Curve(label, x, y, low, high, style="points")


def kept_chance(p: float, K: int) -> float:
    """Returns the probability 1 − p^K − (1 − p)^K that a group's rewards differ.

    >>> kept_chance(0.5, 2)
    0.5
    """
    return 1 - p**K - (1 - p) ** K


def dropping_weights(rates: list[float], K: int) -> list[float]:
    """Returns each prompt's weight B E[1/number kept | kept] where groups of equal rewards are dropped.

    >>> dropping_weights([0.5, 0.5], 2)  # the other is kept with chance ½
    [1.5, 1.5]
    """
    kept = [kept_chance(p, K) for p in rates]
    found = []
    for b in range(len(rates)):
        law = np.ones(1)
        for other, chance in enumerate(kept):
            if other != b:
                law = np.convolve(law, [1 - chance, chance])
        found.append(len(rates) * float(sum(w / (1 + j) for j, w in enumerate(law))))
    return found


@fact("language", "groups", f"claimed: only the number of useful prompts changes, {DAPO}; weights by binomials")
def dropping_equal_groups_tilts_towards_even_odds(sampler: Sampler) -> FactResults:
    """Dropping groups of equal rewards over a fixed set of prompts weighs each by E[1/number kept | kept], most where
    success is near ½; drawing one prompt again until it is kept weighs it by 1/(1 − p^K − (1−p)^K), least there; with
    prompts drawn fresh the direction is unchanged."""
    problem, drop = small_problem(), over_rollouts(baseline="leave_one_out", filter="drop")
    g, rates = target_gradient(problem), problem.family.success(problem.theta()).tolist()  # type: ignore[attr-defined]
    found = by_prompt(enumerated_mean(problem, drop, 2, together=True), 2)
    for b, weight in enumerate(dropping_weights(rates, 2)):
        yield is_vector(f"two prompts, p = {rates[b]:.3f}: mean ÷ weight", by_prompt(g, 2)[b], found[b] / weight)
    yield above("two prompts: angle to the gradient, degrees", 0.01, degrees_between(found.flatten(), g))
    yield from refilling(sampler, rates[0])
    yield from fresh_prompts(sampler)
    yield from measured_dropping(sampler)


def pool(problem: Problem, prompts: list[int]) -> Problem:
    """Returns the problem whose prompts are those of another, by number, repeated or not."""
    logits, right = policy_of(problem).logits.detach(), problem.family.right()  # type: ignore[attr-defined]
    return rewarded(PrefixPolicyFamily.of(logits[prompts].numpy()), right[prompts])


def refilling(sampler: Sampler, p: float) -> FactResults:
    """Checks the weight of one prompt that is drawn until its group's rewards differ, at most so many times."""
    problem, K = small_problem(), 2
    own = by_prompt(target_gradient(problem), 2)[0] * 2  # of the prompt alone, not of the mean of two
    refill = over_rollouts(baseline="leave_one_out", filter="refill", batch_size=1)
    for tries in (2, 8):
        several = pool(problem, [0] * tries)
        missed = (1 - kept_chance(p, K)) ** tries
        mean = own / kept_chance(p, K) * (1 - missed)
        if tries == 2:
            total = by_prompt(enumerated_mean(several, refill, K, together=True), tries).sum(0)
            yield is_vector("one prompt, 2 tries: mean × its chance to be kept", mean, total)
        sample = by_prompt(sampler.estimates(several, refill, K, 2**15), tries).sum(1)
        yield from sample_has_mean(f"one prompt, {tries} tries", sample, mean, target=own)


def fresh_prompts(sampler: Sampler) -> FactResults:
    """Checks that dropping keeps the direction where the prompts are drawn for each batch: two of two, repeats too."""
    problem, drop = small_problem(), over_rollouts(baseline="leave_one_out", filter="drop")
    g = target_gradient(problem)
    mean, drawn = torch.zeros_like(by_prompt(g, 2)), []
    for pair in ([0, 0], [0, 1], [1, 0], [1, 1]):
        several = pool(problem, pair)
        place = torch.nn.functional.one_hot(torch.tensor(pair), 2).double()  # [2 of the pair, 2 prompts]
        mean += place.T @ by_prompt(enumerated_mean(several, drop, 2, together=True), 2) / 4
        drawn.append(place.T @ by_prompt(sampler.estimates(several, drop, 2, 2**15), 2) / 4)
    scale = float(mean.flatten() @ g / g.square().sum())
    yield is_vector("fresh prompts: mean ÷ one number for all", g, mean.flatten() / scale)
    yield above("fresh prompts: this number", 1.1, scale)
    sample = torch.stack(drawn).sum(0).flatten(1)
    yield from sample_has_mean("fresh prompts", sample, scale * g, target=g)
    yield fresh_direction(sample, mean.flatten(), g)


def fresh_direction(sample: Estimates, mean: GradientVector, g: GradientVector) -> Rows:
    """Returns, with prompts drawn for each batch, each prompt's weight ÷ the other's, which is 1 without a turn."""
    own, weights = by_prompt(g, 2), measured_prompt_weights(sample, g, 2)
    parts = (by_prompt(mean, 2) * own).sum(-1) / own.square().sum(-1)
    ratio = weights[0][0] / weights[1][0]
    error = ratio * math.hypot(*(error / weight for weight, error in weights))
    named = "prompts drawn for each batch"
    return points_table([GridPoint("tilt", named, 2.0, float(parts[0] / parts[1])).with_draws(ratio, error)])


def measured_dropping(sampler: Sampler) -> FactResults:
    """Measures the weights of six prompts under dropping, and draws them with those of drawing again."""
    curves, table = [], []
    for K in (4, 16):
        family = small_policy(prompts=6, rate=0.12)
        problem = Problem(family, small_problem().objective)
        g, rates = target_gradient(problem), family.success(problem.theta()).tolist()
        expected = dropping_weights(rates, K)
        sample = sampler.estimates(problem, over_rollouts(baseline="leave_one_out", filter="drop"), K, 2**16 // K)
        points = []
        for p, weight, (found, error) in zip(rates, expected, measured_prompt_weights(sample, g, 6), strict=True):
            yield near(f"six prompts, K = {K}, p = {p:.3f}: measured weight", weight, found, error, 0.5)
            points.append((p, found, error))
            table.append(GridPoint("weight", f"K = {K}, dropped", p, weight).with_draws(found, error))
        table.append(tilt(table, f"K = {K}, dropped", "dropped", K))
        table.append(GridPoint("tilt", "drawn again", float(K), drawn_again_tilt(rates, K)))
        yield below(f"six prompts, K = {K}: least weight ÷ largest", 0.999, min(expected) / max(expected))
        line = np.geomspace(rates[0], 0.98, 80).tolist()
        again = [1 / kept_chance(p, K) for p in line]
        order = np.argsort(rates)
        curves.append(Curve(f"K = {K}, dropped", np.array(rates)[order].tolist(), np.array(expected)[order].tolist()))
        curves.append(points_of(f"K = {K}, dropped, measured", points))
        curves.append(Curve(f"K = {K}, one prompt drawn again", line, again, style="dashed"))
    yield Picture("A prompt's weight where equal groups are dropped", "success rate p", "weight of ∇p", curves, log="y")
    yield points_table(table)


def drawn_again_tilt(rates: list[float], K: int) -> float:
    """Returns the tilt where each prompt is drawn again until its group is kept.

    >>> round(drawn_again_tilt([0.5, 0.1], 2), 12)  # kept with probability 0.5 and 0.18
    2.777777777778
    """
    rising = sorted(rates, key=lambda p: abs(math.log(p / (1 - p))))
    return kept_chance(rising[0], K) / kept_chance(rising[-1], K)
