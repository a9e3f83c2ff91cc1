"""The metrics of losses over rollouts of a sequence policy: tokens, clipping, weights of prompts, length and entropy.

What describes the rollouts (tokens, clipped share, effective sample size, dead groups) comes from separate draws,
after the estimates and with other seeds, so no number of the estimates depends on it. What describes E ĝ comes
from the estimates' batch means and from exact gradients by enumeration; nothing runs per estimate.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from bench.measure.accuracy.measurements import rate_interval
from bench.measure.estimates.gradients import Gradients
from bench.measure.estimates.prepared import Execution
from bench.numerics.tensors import Tensors
from bench.problems.theta import as_vector
from bench.statistics.along_mean import part_weight, slope_along_mean
from bench.statistics.block import Block
from bench.statistics.interval import Interval
from bench.statistics.means import mean_interval
from bench.statistics.stream import Replicates
from bench.tables.metrics import Measurement
from estimators.policy.diagnostics import clipped_share, dead_groups, effective_sample_size
from estimators.policy.policy_gradient import PolicyGradient
from estimators.policy.sequence import Regularised, SequencePolicy, drawn_from, rollouts_of
from estimators.tools.parameters import base, mode

ROLLOUTS = 4096
"""Number of replicates whose rollouts are described, at least; at most as many as there are estimates."""
MOST_ENUMERATED = 10_000_000
"""Largest number of tokens × vocabulary of all sequences that are enumerated for the exact gradients."""
SHARES = ("clipped_share", "dead_groups")


def rollout_measurements(
    gradients: Gradients, execution: Execution, chunk: int, kept: Replicates
) -> Iterator[Measurement]:
    """The rows of a sequence policy; none for other distributions.

    Args:
        gradients: Eager gradients of the cell.
        execution: Gives the seeds.
        chunk: Replicates in a chunk.
        kept: The estimates.
    """
    q = gradients.problem.build(gradients.parameters)
    inner: Any = base(q)
    if not (isinstance(inner, SequencePolicy) and hasattr(inner, "mask")) or gradients.noisy:
        return
    if isinstance(gradients.estimator, PolicyGradient):
        yield from described(gradients, execution, chunk, min(ROLLOUTS, kept.drawn))
    if kept.target is None or kept.nonfinite or kept.total.count < 2 or not enumerable(q):
        return
    block = kept.block("all")
    exact = exact_slopes(gradients)
    for metric, h in (("length_slope", exact.length), ("entropy_slope", exact.entropy)):
        found = slope_along_mean(block, h)
        method = "batch means; exact gradient by enumeration"
        yield Measurement.of(metric, found, block.count, method if found else "E ĝ is not told from zero")
    yield from prompt_weights(block, exact.moves)


def described(gradients: Gradients, execution: Execution, chunk: int, least: int) -> Iterator[Measurement]:
    """The rows that describe the rollouts: means over replicates, by Hall's t."""
    parts: list[dict[str, Tensor]] = []
    for index in range(-(-least // chunk)):
        torch.manual_seed(execution.seed_of(f"rollouts {index}"))
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
    estimator: Any = gradients.estimator
    parameters, f = gradients.with_data(gradients.expanded(chunk))
    q: Any = gradients.problem.build(parameters)
    z = drawn_from(q, gradients.samples)
    loss, _, reward = estimator.read(q, f, z)
    greedy = loss.baseline == "greedy"
    judged = f.reward if loss.kl != "none" and isinstance(f, Regularised) else f
    rollouts = rollouts_of(q, judged, z, reward, greedy=greedy, critic=estimator.critic)
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


class Slopes(NamedTuple):
    """Exact gradients in θ of E L and of the entropy `[P]`, and which coordinates move each prompt's law `[B, P]`."""

    length: np.ndarray
    entropy: np.ndarray
    moves: np.ndarray


def enumerable(q: Distribution) -> bool:
    """Whether all sequences can be listed for the exact gradients."""
    if not getattr(q, "has_enumerate_support", False):
        return False  # before a power of the vocabulary that no number holds
    vocabulary = q.event_shape[-1] if len(q.event_shape) > 1 else 2
    tokens = q.event_shape[0] if q.event_shape else 1
    return vocabulary**tokens * tokens * vocabulary * max(q.batch_shape.numel(), 1) <= MOST_ENUMERATED


def exact_slopes(gradients: Gradients) -> Slopes:
    """Enumerates all sequences: E L = Σ π(y) L(y) and −Σ π(y) log π(y), the means over prompts."""
    problem, theta = gradients.problem, gradients.problem.theta()

    def laws(at: Tensors) -> tuple[Tensor, Tensor, Tensor]:
        q: Any = problem.build(problem.encode(at))
        inner: Any = base(q)
        z = q.enumerate_support()
        log_law, length = q.log_prob(z), inner.mask(z).sum(-1)
        law, mark = log_law.exp(), torch.linspace(1, 2, len(z), dtype=log_law.dtype)
        marked = (law * mark.view(-1, *[1] * (law.dim() - 1)).sin()).sum(0)
        entropy = -torch.where(law > 0, law * log_law, 0).sum(0)
        return problem.reduce((law * length).sum(0)), problem.reduce(entropy), marked

    length, entropy, marked = torch.func.jacrev(laws)(theta)
    rows = [marked[name].flatten(len(marked[name].shape) - theta[name].dim()) for name in theta]
    moves = torch.cat([row.reshape(-1, row.shape[-1]) for row in rows], -1) != 0
    return Slopes(as_vector(length).numpy(), as_vector(entropy).numpy(), moves.numpy())


def prompt_weights(block: Block, moves: np.ndarray) -> Iterator[Measurement]:
    """A row for each prompt where prompts share no coordinate of θ and each has a gradient; else none."""
    parts = [np.flatnonzero(each) for each in moves]
    if len(parts) < 2 or moves.sum(0).max() > 1 or any(not block.exact.target[part].any() for part in parts):
        return
    for number, part in enumerate(parts):
        found = part_weight(block, part, parts)
        method = "projection on the prompt's exact gradient; batch means"
        yield Measurement.of(
            "prompt_weight", found, block.count, method if found else "the mean weight is not told from zero",
            f"prompt {number}",
        )  # fmt: skip
