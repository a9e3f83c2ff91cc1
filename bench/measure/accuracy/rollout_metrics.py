"""The metrics of losses over rollouts of a sequence policy: tokens, clipping, weights of prompts, length and entropy.

What describes the rollouts (tokens, clipped share, effective sample size, dead groups) comes from separate draws,
after the estimates and with other seeds, so no number of the estimates depends on it. What describes E ĝ comes
from the estimates' batch means and from exact gradients; nothing runs per estimate.
"""

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from bench.measure.accuracy.measurements import rate_interval
from bench.measure.estimates.gradients import Gradients
from bench.measure.estimates.prepared import Execution
from bench.measure.execution.seeding import seed_draws
from bench.numerics.tensors import Tensors
from bench.problems.problem import Problem
from bench.problems.theta import as_vector
from bench.statistics.along_mean import part_weight, slope_along_mean
from bench.statistics.block import Block
from bench.statistics.interval import Interval
from bench.statistics.means import mean_interval
from bench.statistics.stream import Replicates
from bench.tables.metrics import Measurement
from estimators.core import Objective, SetObjective
from estimators.policy.diagnostics import clipped_share, dead_groups, effective_sample_size
from estimators.policy.loss import PolicyLoss
from estimators.policy.policy_gradient import PolicyGradient
from estimators.policy.rollouts import Rollouts
from estimators.policy.sequence import Grouped, Regularised, SequencePolicy, drawn_from, rollouts_of
from estimators.score_function import ScoreFunction
from estimators.tools.parameters import base, mode, sample

ROLLOUTS = 4096
"""Number of replicates whose rollouts are described, at least; at most as many as there are estimates."""
MOST_ENUMERATED = 10_000_000
"""Largest number of tokens × vocabulary of all sequences that are enumerated for the exact gradients."""
SHARES = ("clipped_share", "dead_groups")


def rollout_measurements(
    problem: Problem, gradients: Gradients, execution: Execution, chunk: int, kept: Replicates
) -> Iterator[Measurement]:
    """The rows of a sequence policy; none for other distributions.

    Args:
        problem: The problem, with the parameters that its exact gradient is taken in.
        gradients: Eager gradients of the cell.
        execution: Gives the seeds.
        chunk: Replicates in a chunk.
        kept: The estimates.
    """
    q = gradients.problem.build(gradients.parameters)
    inner: Any = base(q)
    if not (isinstance(inner, SequencePolicy) and hasattr(inner, "mask")) or gradients.noisy:
        return
    if isinstance(gradients.estimator, PolicyGradient | ScoreFunction):
        yield from described(gradients, execution, chunk, min(ROLLOUTS, kept.drawn))
    if kept.target is None or kept.nonfinite or kept.total.count < 2:
        return
    block = kept.block("all")
    for metric, h in exact_slopes(problem).items():
        found = slope_along_mean(block, h)
        method = "batch means; exact gradient"
        yield Measurement.of(metric, found, block.count, method if found else "E ĝ is not told from zero")
    yield from prompt_weights(block, exact_prompts(problem))


def described(gradients: Gradients, execution: Execution, chunk: int, least: int) -> Iterator[Measurement]:
    """The rows that describe the rollouts: means over replicates, by Hall's t."""
    parts: list[dict[str, Tensor]] = []
    for index in range(-(-least // chunk)):
        seed_draws(execution.seed_of(f"rollouts {index}"), execution.device)
        parts.append(one_chunk(gradients, chunk))
    for metric in parts[0]:
        values = torch.cat([part[metric] for part in parts]).double().cpu().numpy()
        yield Measurement.of(metric, interval_of(metric, values), len(values), "rollouts of their own; Hall's t")


def interval_of(metric: str, values: np.ndarray) -> Interval:
    """The interval of a mean; of a share that is 0 or 1 in all replicates, Wilson's, which allows for unseen events."""
    edge = float(values[0])
    if metric in SHARES and edge in (0.0, 1.0) and (values == edge).all():
        return rate_interval(int(edge) * len(values), len(values))
    return mean_interval(values)


@torch.no_grad()
def one_chunk(gradients: Gradients, chunk: int) -> dict[str, Tensor]:
    """Numbers of the rollouts of each replicate, `[R]` each.

    `generated_tokens` counts all rollouts of all prompts, also those of groups that a filter drops, and the greedy ones
    of a loss that reads them.
    """
    parameters, f = gradients.with_data(gradients.expanded(chunk))
    q: Any = gradients.problem.build(parameters)
    estimator, loss = gradients.estimator, PolicyLoss()
    if isinstance(estimator, PolicyGradient):
        z = drawn_from(q, gradients.samples)
        loss, _, reward = estimator.read(q, f, z)
        judged = f.reward if loss.kl != "none" and isinstance(f, Regularised) else f
        greedy = loss.baseline == "greedy"
        rollouts = rollouts_of(q, judged, z, reward, greedy=greedy, critic=estimator.critic)
    else:
        rollouts, greedy = own_rollouts(q, f, gradients.samples), False
    found = {
        "generated_tokens": rollouts.mask.sum((-3, -2, -1)),
        "effective_sample_size": effective_sample_size(rollouts).mean(-1),
        "dead_groups": dead_groups(rollouts),
    }
    if greedy:
        inner: Any = base(q)
        extra = inner.mask(mode(q).unsqueeze(0)).sum(-1)
        found["generated_tokens"] = found["generated_tokens"] + extra.flatten(2).sum((0, -1))
    if loss.limit != "none":
        found["clipped_share"] = clipped_share(loss, rollouts)
    return found


def own_rollouts(q: Distribution, f: Objective, n: int) -> Rollouts:
    """Draws of a score function as rollouts: of q itself, whatever its behaviour policy is."""
    z, inner = sample(q, n), cast(Any, base(q))
    to = Grouped(q, z)
    return Rollouts(
        log_probs=to.tokens(inner.log_prob_steps(z)), mask=to.tokens(inner.mask(z)), rewards=to.rewards(f.held(z, q))
    )


def enumerable(q: Distribution) -> bool:
    """Whether all sequences can be listed for the exact gradients."""
    if not getattr(q, "has_enumerate_support", False):
        return False  # before a power of the vocabulary that no number holds
    vocabulary = q.event_shape[-1] if len(q.event_shape) > 1 else 2
    tokens = q.event_shape[0] if q.event_shape else 1
    return vocabulary**tokens * tokens * vocabulary * max(q.batch_shape.numel(), 1) <= MOST_ENUMERATED


def exact_slopes(problem: Problem) -> dict[str, np.ndarray]:
    """Exact gradients in θ `[P]` of the expected length and of the sequence's entropy, the means over prompts.

    By q's own `mean_length` and `entropy`, or by enumeration of all sequences; none where there are too many.
    """
    theta = problem.theta()
    if lengths_and_entropies(problem, theta) is None:
        return {}

    def means(at: Tensors) -> tuple[Tensor, Tensor]:
        found = lengths_and_entropies(problem, at)
        assert found is not None
        return problem.reduce(found[0]), problem.reduce(found[1])

    length, entropy = torch.func.jacrev(means)(theta)
    return {"length_slope": as_vector(length).numpy(), "entropy_slope": as_vector(entropy).numpy()}


def lengths_and_entropies(problem: Problem, theta: Tensors) -> tuple[Tensor, Tensor] | None:
    """E L = Σ π(y) L(y) and −Σ π(y) log π(y) of each prompt; None where there are too many sequences."""
    q = problem.build(problem.encode(theta))
    inner: Any = base(q)
    if hasattr(inner, "mean_length"):
        return inner.mean_length(), inner.entropy()
    if not enumerable(q):
        return None
    z = q.enumerate_support()
    log_law, length = q.log_prob(z), inner.mask(z).sum(-1)
    return (log_law.exp() * length).sum(0), -torch.where(log_law > -torch.inf, log_law.exp() * log_law, 0).sum(0)


def exact_prompts(problem: Problem) -> np.ndarray | None:
    """The exact gradient of each prompt `[B, P]`, from the objective's expectation or by enumeration; None without."""
    theta, f = problem.theta(), problem.function(next(iter(problem.theta().values())))

    def rewards(at: Tensors) -> Tensor | None:
        parameters = problem.encode(at)
        closed = problem.objective.expectation(problem.family, problem.point, parameters)
        q = problem.build(parameters)
        if closed is not None or isinstance(f, SetObjective) or not enumerable(q):
            return closed
        z = q.enumerate_support()
        return (q.log_prob(z).exp() * f.held(z, q)).sum(0)

    each = rewards(theta)
    if problem.family.data_axes != 1 or each is None or each.dim() != 1 or len(each) < 2:
        return None
    found = torch.func.jacrev(rewards)(theta)
    return torch.cat([found[name].flatten(1) for name in theta], 1).numpy()


LEAST_ANGLE = 1e-4
"""Smallest singular value of the prompts' unit gradients at which they count as independent."""


def prompt_weights(block: Block, gradients: np.ndarray | None) -> Iterator[Measurement]:
    """A row for each prompt, if each has a gradient and none is a sum of the others'; else none."""
    if gradients is None or not (np.linalg.norm(gradients, axis=1) > 0).all():
        return
    unit = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
    if len(unit) > unit.shape[1] or np.linalg.svd(unit, compute_uv=False).min() < LEAST_ANGLE:
        return
    for number in range(len(gradients)):
        found = part_weight(block, number, gradients)
        method = "fit by the prompts' exact gradients; batch means"
        yield Measurement.of(
            "prompt_weight", found, block.count, method if found else "the mean weight is not told from zero",
            f"prompt {number}",
        )  # fmt: skip
