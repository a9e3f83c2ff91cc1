"""Language models: which KL term is the gradient of which divergence."""

from collections.abc import Callable, Iterator

from torch import Tensor

from bench.distributions.prefix_policy import PrefixPolicy
from bench.problems.problem import Problem
from bench.validation.facts.all_rollouts import (
    enumerated_mean,
    enumerated_variance,
    gradient_of,
    over_rollouts,
    penalised,
    policy_of,
    small_policy,
)
from bench.validation.facts.fact import Check, Curve, FactResults, Picture, above, below, exact, fact, near
from bench.validation.facts.language_groups import points_of
from bench.validation.facts.measured_points import GridPoint, points_table
from bench.validation.facts.rollout_checks import (
    GradientVector,
    degrees_between,
    has_mean,
    is_apart,
    is_vector,
    measured_angle,
)
from bench.validation.facts.sampler import Sampler
from estimators.policy import PolicyGradient

THREADS = "TRL issues 4967, 7086, 6503, 6586, pull requests 4638, 7096, 7188"
PAPERS_ON_KL = "arXiv:2512.21852, 2512.02556, 2510.01555"

KL_TERMS = {
    "k1 in the reward": {"kl": "k1"},
    "k2 of tokens in the loss": {"kl": "k2", "kl_place": "loss"},
    "k3 of tokens in the loss": {"kl": "k3", "kl_place": "loss"},
    "k3 of tokens × differentiated ratio": {"kl": "k3", "kl_place": "loss_times_ratio"},
    "k3 of the sequence in the loss": {"kl": "k3", "kl_level": "sequence", "kl_place": "loss"},
    "k3 of the sequence in the reward": {"kl": "k3", "kl_level": "sequence"},
}
"""KL terms whose direction is measured: GRPO has k3 of tokens in the loss, TRL multiplies it by a ratio."""


def kl_term(**parts: object) -> PolicyGradient:
    """Returns the estimator of a KL term of weight 1."""
    return over_rollouts(beta=1.0, **parts)


def divergences(problem: Problem) -> tuple[GradientVector, GradientVector]:
    """Returns −∇KL(π‖π_ref) and −∇KL(π_ref‖π): what a term of weight 1 adds to a gradient ascent."""
    q = policy_of(problem)
    assert isinstance(q.reference, PrefixPolicy)
    ref = q.reference.sequence_log_probs().detach()
    forward: Callable[[Tensor], Tensor] = lambda law: -(law.exp() * (law - ref)).sum(-1)  # noqa: E731
    backward: Callable[[Tensor], Tensor] = lambda law: -(ref.exp() * (ref - law)).sum(-1)  # noqa: E731
    return gradient_of(problem, forward), gradient_of(problem, backward)


@fact("language", "KL", f"claimed and disputed: {THREADS}; {PAPERS_ON_KL}; Schulman 2020, Approximating KL divergence")
def which_kl_term_is_the_gradient_of_which_divergence(sampler: Sampler) -> FactResults:
    """On-policy, k1 in the reward (all of it, or to go), k2 of the sequence in the loss, and k3 of the sequence times
    its differentiated ratio have the mean ∇KL(π‖π_ref); k1 in the loss has mean 0, and k3 of the sequence in the loss
    ∇KL(π_ref‖π)."""
    problem = penalised(small_policy())
    kl, reverse = divergences(problem)
    sequence = {"kl_level": "sequence"}
    exact_terms = {
        "k1 in the reward": {"kl": "k1"},
        "k1 in the reward, to go": {"kl": "k1", "returns": "to_go"},
        "k2 of the sequence in the loss": {"kl": "k2", "kl_place": "loss", **sequence},
        "k3 of the sequence × its ratio": {"kl": "k3", "kl_place": "loss_times_ratio", **sequence},
        "k2 of tokens in the loss, k1 of later ones in the reward": {"kl": "k2", "kl_place": "loss_and_later_reward"},
        "whole vocabulary in the loss, k1 of later tokens in the reward": {
            "kl": "full",
            "kl_place": "loss_and_later_reward",
        },
    }
    for name, parts in exact_terms.items():
        yield is_vector(name, kl, enumerated_mean(problem, kl_term(**parts)))
        yield from has_mean(sampler, name, problem, kl_term(**parts), 2, mean=kl, full=2**14)
    nothing = enumerated_mean(problem, kl_term(kl="k1", kl_place="loss"))
    yield exact("k1 in the loss", 0.0, float(nothing.abs().max() / kl.abs().max()), 1e-9, scale=1.0)
    backward = kl_term(kl="k3", kl_place="loss", **sequence)
    yield is_vector("k3 of the sequence in the loss, ∇KL(π_ref‖π)", reverse, enumerated_mean(problem, backward))
    yield from has_mean(sampler, "k3 of the sequence in the loss", problem, backward, 2, mean=reverse, target=kl)
    difference = enumerated_mean(problem, kl_term(kl="k3", **sequence))
    yield is_vector("k3 of the sequence in the reward: the difference of both", kl - reverse, difference)
    yield from lower_variance(problem)


def lower_variance(problem: Problem) -> Iterator[Check]:
    """Checks that to go has not always the lower variance."""
    family = small_policy()
    q = policy_of(problem)
    assert isinstance(q.reference, PrefixPolicy)
    z = q.enumerate_support()
    first = (q.log_prob_steps(z) - q.reference.log_prob_steps(z))[..., 0].T.detach()
    for name, rewards, is_lower in (("the first token's penalty", first, False), ("none", 0 * first, True)):
        both = penalised(family, rewards)
        whole, to_go = (enumerated_variance(both, kl_term(kl="k1", returns=each)) for each in ("whole", "to_go"))
        check = below if is_lower else above
        yield check(f"reward: {name}; variance of k1 to go ÷ of the whole k1", 1.0, to_go / whole)


@fact("language", "KL", f"claimed: an unbiased KL gradient, {THREADS}; {PAPERS_ON_KL}")
def kl_terms_of_single_tokens_lack_later_tokens(sampler: Sampler) -> FactResults:
    """Per token, k2 in the loss, k3 times the token's differentiated ratio, and the whole vocabulary's KL in the loss
    have one and the same mean: ∇KL(π‖π_ref) without the terms of later tokens, exact for the last token alone."""
    problem = penalised(small_policy())
    kl, _ = divergences(problem)
    k2 = enumerated_mean(problem, kl_term(kl="k2", kl_place="loss"))
    others = {"k3 × the token's ratio": {"kl": "k3", "kl_place": "loss_times_ratio"}}
    others["whole vocabulary"] = {"kl": "full", "kl_place": "loss"}
    for name, parts in others.items():
        yield is_vector(f"{name}, and k2", k2, enumerated_mean(problem, kl_term(**parts)))
        yield from has_mean(sampler, name, problem, kl_term(**parts), 2, mean=k2, target=kl, full=2**16)
    table, theirs = (each.unflatten(-1, (2, 7, 3)) for each in (kl, k2))
    yield is_vector("last tokens lack nothing", table[:, 3:].flatten(), theirs[:, 3:].flatten())
    yield is_apart("first tokens", table[:, :1].flatten(), theirs[:, :1].flatten())
    k3 = enumerated_mean(problem, kl_term(kl="k3", kl_place="loss"))
    detached = enumerated_mean(problem, kl_term(kl="k3", kl_place="loss", ratio="token"))
    yield is_vector("a detached ratio leaves k3", k3, detached)
    yield is_apart("k3 × the token's ratio is not k3", k3, k2)
    whole, single = (
        sampler.moments(problem, kl_term(kl=form, kl_place="loss"), 2, 2**14).variance.sum() for form in ("full", "k2")
    )
    yield below("variance of the whole vocabulary's term ÷ of k2", 0.5, float(whole / single))


@fact("language", "KL", f"{THREADS}; {PAPERS_ON_KL}; derived here")
def off_policy_kl_in_the_reward(sampler: Sampler) -> FactResults:
    """Off-policy, k1 in the reward is exact with d of the current policy and a sequence ratio, or the prefix ratio at
    each cost's own step; with d of the proximal policy the mean is ∇[KL(π‖π_ref) − KL(π‖μ)]."""
    problem = penalised(small_policy(logit_noise=0.4))
    kl, _ = divergences(problem)
    q = policy_of(problem)
    assert isinstance(q.behaviour, PrefixPolicy)
    mu = q.behaviour.sequence_log_probs().detach()
    to_behaviour = gradient_of(problem, lambda law: -(law.exp() * (law - mu)).sum(-1))
    right = {
        "sequence ratio": {"ratio": "sequence"},
        "prefix ratio at each cost's step": {"ratio": "prefix", "returns": "reweighted_to_go"},
    }
    for name, parts in right.items():
        yield is_vector(name, kl, enumerated_mean(problem, kl_term(kl="k1", **parts)))
        yield from has_mean(sampler, name, problem, kl_term(kl="k1", **parts), 2, mean=kl, full=2**14)
    for ratio in ("none", "token", "prefix"):
        wrong = enumerated_mean(problem, kl_term(kl="k1", ratio=ratio, returns="to_go"))
        yield is_apart(f"ratio {ratio}, to go", kl, wrong)
    old = kl_term(kl="k1", ratio="sequence", kl_policy="proximal")
    yield is_vector("d of the proximal policy", kl - to_behaviour, enumerated_mean(problem, old))
    yield from has_mean(
        sampler, "d of the proximal policy", problem, old, 2, mean=kl - to_behaviour, target=kl, full=2**16
    )


@fact("language", "KL", f"{THREADS}; {PAPERS_ON_KL}; angles by enumeration and by draws")
def the_angle_of_kl_terms_by_distance(sampler: Sampler) -> FactResults:
    """Near the reference, k3 of the sequence in the reward has almost no KL gradient (of second order in the distance,
    where ∇KL is of first); terms of single tokens, and k3 in the loss, turn away from
    ∇KL(π‖π_ref) with the distance."""
    distances, angles, sizes, table = [], {name: [] for name in KL_TERMS}, [], []
    measured: dict[str, list[tuple[float, float, float]]] = {name: [] for name in KL_TERMS}
    for noise in (0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 2.0):
        problem = penalised(small_policy(reference_noise=noise))
        kl, _ = divergences(problem)
        q = policy_of(problem)
        assert isinstance(q.reference, PrefixPolicy)
        law = q.sequence_log_probs()
        distances.append(float((law.exp() * (law - q.reference.sequence_log_probs())).sum(-1).mean()))
        for name, parts in KL_TERMS.items():
            mean = enumerated_mean(problem, kl_term(**parts))
            angles[name].append(degrees_between(mean, kl))
            point = GridPoint("angle", name, distances[-1], angles[name][-1])
            if name == "k3 of the sequence in the reward":
                sizes.append((float(mean.norm()), float(kl.norm())))
                table.append(
                    GridPoint("length ÷ that of the KL gradient", name, distances[-1], sizes[-1][0] / sizes[-1][1])
                )
            if noise in (0.25, 1.0) and angles[name][-1] > 0.1:
                sample = sampler.estimates(problem, kl_term(**parts), 2, 2**16)
                angle, error = measured_angle(sample, kl, mean)
                what = f"{name}, KL = {distances[-1]:.3g}: angle in degrees, measured"
                yield near(what, angles[name][-1], angle, error, 0.6)
                measured[name].append((distances[-1], angle, error))
                point = point.with_draws(angle, error)
            table.append(point)
    (near_size, near_kl), (far_size, far_kl) = sizes[0], sizes[1]
    yield near("k3 in the reward: gradient at twice the distance ÷ at once", 4.0, far_size / near_size, 0.4, 0.15)
    yield near("KL: gradient at twice the distance ÷ at once", 2.0, far_kl / near_kl, 0.2, 0.15)
    yield below("k1 in the reward: largest angle, degrees", 1e-4, max(angles["k1 in the reward"]))
    for name in ("k2 of tokens in the loss", "k3 of tokens in the loss", "k3 of the sequence in the loss"):
        yield above(f"{name}: angle at the farthest reference, degrees", 20.0, angles[name][-1])
        yield below(f"{name}: angle at the nearest reference, degrees", 2.0, angles[name][0])
    curves = []
    for name in KL_TERMS:
        curves.append(Curve(f"{name}", distances, angles[name]))
        if measured[name]:
            curves.append(points_of(f"{name}, measured", measured[name]))
    yield Picture("Angle to the gradient of KL(π‖π_ref)", "KL(π‖π_ref) of an answer, nats", "degrees", curves, log="x")
    yield points_table(table)
