"""Language models, off-policy: ratios, limits, truncated behaviours, and constants added to all rewards."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from bench.distributions.prefix_policy import PrefixPolicy, PrefixPolicyFamily
from bench.distributions.prefix_tree import sequence_log_probs, starts
from bench.problems.problem import Problem
from bench.problems.rollout_moments import rollout_moments
from bench.validation.facts.all_rollouts import (
    enumerated_mean,
    gradient_of,
    over_rollouts,
    policy_of,
    rewarded,
    small_policy,
    small_problem,
    target_gradient,
)
from bench.validation.facts.fact import Check, FactResults, above, exact, fact
from bench.validation.facts.rollout_checks import has_mean, is_apart, is_vector
from bench.validation.facts.sampler import Sampler
from estimators.policy.limits import LIMIT_PARTS
from estimators.policy.ratios import RATIO_PARTS

PRECUP = "Precup, Sutton, Singh 2000, ICML 2000"


def lengthy(T: int, noise: float) -> PrefixPolicyFamily:
    """Returns a policy of two tokens whose answers are nearly all of length T, with a noisy behaviour."""
    logits = np.random.default_rng(20).normal(0, 0.5, (1, starts(T, 3)[-2], 3))
    logits[..., -1] -= 4
    return PrefixPolicyFamily.of(logits, logit_noise=noise)


@fact("language", "ratios", f"{PRECUP}; TRL issue 4493; claimed otherwise of token ratios: arXiv:1707.06347")
def sequence_ratios_are_unbiased_and_token_ratios_are_not(sampler: Sampler) -> FactResults:
    """Off-policy the sequence ratio is unbiased, with a second moment that grows exponentially in the length; a token
    ratio, a geometric one and none are biased; the prefix ratio is exact with the exact advantage of the step, and
    biased with a reward at the end."""
    problem = small_problem(logit_noise=0.5)
    g = target_gradient(problem)
    for baseline, K in (("none", 1), ("leave_one_out", 2), ("greedy", 1)):
        estimator = over_rollouts(ratio="sequence", baseline=baseline)
        yield is_vector(f"sequence ratio, baseline {baseline}", g, enumerated_mean(problem, estimator, K))
    yield from has_mean(sampler, "sequence ratio", problem, over_rollouts(ratio="sequence"), 2, mean=g)
    prefix = over_rollouts(ratio="prefix", baseline="critic", horizon=1)
    yield is_vector("prefix ratio with exact advantages", g, enumerated_mean(problem, prefix))
    yield from has_mean(sampler, "prefix ratio with exact advantages", problem, prefix, 2, mean=g)
    for ratio in ("none", "token", "prefix", "geometric"):
        estimator = over_rollouts(ratio=ratio)
        mean = enumerated_mean(problem, estimator)
        yield is_apart(f"ratio {ratio}", g, mean)
        yield from has_mean(sampler, f"ratio {ratio}", problem, estimator, 8, mean=mean, target=g, full=2**16)
    moments = [float(second_moment(lengthy(T, 0.5))) for T in (3, 6, 9)]
    yield above("second moment of the ratio: at 6 tokens ÷ (at 3)^1.5", 1.0, moments[1] / moments[0] ** 1.5)
    yield above("at 9 tokens ÷ (at 3)^2.5", 1.0, moments[2] / moments[0] ** 2.5)


def second_moment(family: PrefixPolicyFamily) -> Tensor:
    """Returns E_μ (π/μ)² of whole answers."""
    q = policy_of(rewarded(family, torch.zeros_like(family.right())))
    assert isinstance(q.behaviour, PrefixPolicy)
    return (2 * q.sequence_log_probs() - q.behaviour.sequence_log_probs()).exp().sum(-1).mean()


@fact("language", "ratios", "disputed: TRL issue 2703; Schulman et al. 2017, arXiv:1707.06347")
def a_ratio_of_one_has_reinforce_s_gradient(sampler: Sampler) -> FactResults:
    """On fresh rollouts every ratio is 1, and every ratio with every limit has REINFORCE's gradient, not 0."""
    problem = small_problem()
    g = target_gradient(problem)
    for ratio in RATIO_PARTS:
        for limit in LIMIT_PARTS:
            yield is_vector(f"{ratio}, {limit}", g, enumerated_mean(problem, over_rollouts(ratio=ratio, limit=limit)))
    clip = over_rollouts(ratio="token", limit="clip", baseline="leave_one_out")
    yield from has_mean(sampler, "PPO's clip", problem, clip, 4, mean=g)
    other = small_problem("transformer_policy")
    yield from has_mean(sampler, "transformer, PPO's clip", other, clip, 4, mean=target_gradient(other), full=2**16)


@fact("language", "ratios", "TRL issue 6789; derived here")
def no_ratio_mends_what_is_never_drawn(sampler: Sampler) -> FactResults:
    """With top-p the mean lacks the answers that are never drawn, whatever the ratio; by how much depends on the
    baseline, and a trainer that truncates its log-probabilities too is biased as well."""
    problem = small_problem(top_p=0.7)
    g, right = target_gradient(problem), small_policy().right()
    q = policy_of(problem)
    assert isinstance(q.behaviour, PrefixPolicy)
    drawn = (sequence_log_probs(q.behaviour.logits.log_softmax(-1), 3) > -torch.inf).double()
    ratio = over_rollouts(ratio="sequence")
    for shift in (0.0, 0.5):
        shifted = rewarded(small_policy(top_p=0.7), right - shift)
        lacking = gradient_of(problem, lambda law, shift=shift: (law.exp() * (right - shift) * drawn).sum(-1))
        mean = enumerated_mean(shifted, ratio)
        yield is_vector(f"baseline {shift}: the gradient over what is drawn", lacking, mean)
        yield is_apart(f"baseline {shift}: distance from the gradient", g, mean)
        yield from has_mean(sampler, f"baseline {shift}", shifted, ratio, 2, mean=mean, target=g)
    parts = [gradient_of(problem, lambda law, s=s: (law.exp() * (right - s) * drawn).sum(-1)) for s in (0.0, 0.5)]
    yield is_apart("baselines 0 and 0.5 differ", parts[0], parts[1])
    cut = small_problem(top_p=0.7, truncated_trainer=True)
    yield is_apart("log-probabilities truncated too", g, rollout_moments(cut, over_rollouts()).mean)


@fact("language", "ratios", f"derived here; {PRECUP}; Schulman et al. 2017, arXiv:1707.06347; arXiv:2506.13585 (CISPO)")
def a_constant_reward_changes_clipped_and_averaged_losses(sampler: Sampler) -> FactResults:
    """Adding 5 to all rewards changes the mean by 5 E_μ[w s]: nothing for sums over tokens with unclipped token, prefix
    or sequence ratios; something, without a baseline, for no correction, clips, clamps, geometric ratios, 1/L and means
    over tokens. A critic has to move with it."""
    plain = small_problem(logit_noise=0.4)
    right = small_policy().right()
    more = rewarded(small_policy(logit_noise=0.4), right + 5)
    alone = rewarded(small_policy(logit_noise=0.4), torch.ones_like(right))
    for ratio in ("token", "prefix", "sequence"):
        estimator = over_rollouts(ratio=ratio)
        yield is_vector(f"{ratio}: unchanged", enumerated_mean(plain, estimator), enumerated_mean(more, estimator))
    changed = {
        "no correction": {},
        "geometric": {"ratio": "geometric"},
        "1/L": {"ratio": "sequence", "aggregate": "sequence_mean"},
        "mean over the group's tokens": {"ratio": "sequence", "aggregate": "group_token_mean"},
        "PPO's clip": {"ratio": "token", "limit": "clip"},
        "CISPO": {"ratio": "token", "limit": "detached"},
    }
    for name, parts in changed.items():
        estimator, K = over_rollouts(**parts), 2 if "group" in name else 1
        before, after = (enumerated_mean(each, estimator, K) for each in (plain, more))
        yield is_apart(f"{name}: changed", before, after)
        if parts.get("limit") != "clip":
            by = 5 * enumerated_mean(alone, estimator, K)
            yield is_vector(f"{name}: changed by 5 E[w s]", after, before + by)
        yield from has_mean(sampler, name, more, estimator, 2, mean=after, target=before, full=2**17)
    yield from shifted_critics(plain, more)


def shifted_critics(plain: Problem, more: Problem) -> Iterator[Check]:
    """Checks that a critic that moves with the rewards leaves the mean, and one that does not changes it."""
    parts = {"baseline": "critic", "lam": 0.5, "ratio": "token"}
    before = enumerated_mean(plain, over_rollouts(**parts))
    yield is_vector("critic that moves with the constant", before, enumerated_mean(more, over_rollouts(**parts)))
    left = enumerated_mean(more, over_rollouts(critic_error=-5.0, **parts))
    yield is_apart("critic that does not move", before, left)
    yield exact("REINFORCE on-policy: change", 0.0, on_policy_change(), 1e-9, scale=1.0)


def on_policy_change() -> float:
    """Returns how far 5 more for all answers moves REINFORCE's mean on-policy, relative."""
    more = rewarded(small_policy(), small_policy().right() + 5)
    g = target_gradient(small_problem())
    return float((enumerated_mean(more, over_rollouts()) - g).abs().max() / g.abs().max())
