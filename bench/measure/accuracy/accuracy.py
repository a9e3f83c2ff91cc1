"""Measures bias and variance of one estimator on one problem: independent estimates against the exact gradient.

Estimates come in chunks, each with its own seed. They are evaluated at a few looks fixed beforehand; each look has four
times the estimates of the previous look. The measurement stops when the variance is known to the requested precision
and the verdict on the bias is settled, or when the budget does not allow both. A verdict that is still unclear gets a
second stage, with control variates (`bench.measure.accuracy.second_stage`).
"""

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from bench.measure.accuracy.measurements import block_measurements, cell_measurements
from bench.measure.accuracy.positive_control import control_of, typical_size
from bench.measure.accuracy.rare_outcomes import rare_outcomes
from bench.measure.accuracy.rollout_metrics import rollout_measurements
from bench.measure.accuracy.second_stage import Judged, settled_again
from bench.measure.accuracy.stopping import AccuracySettings, Sampling
from bench.measure.accuracy.variance_parts import Triples, variance_parts
from bench.measure.estimates.batching import quarter
from bench.measure.estimates.calls import count
from bench.measure.estimates.gradients import Gradients
from bench.measure.estimates.prepared import Execution, opened
from bench.measure.execution.seeding import seed_draws
from bench.numerics.tensors import Tensors
from bench.problems.exact import Reference
from bench.problems.problem import Problem
from bench.problems.theta import as_vector
from bench.statistics.common_draws import packed
from bench.statistics.direction import judge_direction
from bench.statistics.scale import judge_scale
from bench.statistics.stream import Replicates
from bench.statistics.verdict import Verdict
from bench.statistics.yardstick import Scale
from bench.tables.metrics import Measurement, Outcome
from estimators.core import Estimator
from estimators.errors import BadInput
from estimators.traits import Need

RELATIVE_ROUNDING = {torch.float64: 1e-12, torch.float32: 1e-6}
"""Rounding error of an estimate relative to the gradient: the required agreement of an estimator without variance."""

SECOND_STAGE_FROM = 0.5
"""Of `max_seconds`: what the first stage may have spent; the estimates of a second one take about twice as long."""


def measure_accuracy(
    problem: Problem,
    estimator: Estimator,
    samples: int,
    settings: AccuracySettings,
    reference: Reference | None,
    *,
    execution: Execution,
    scale: Scale | None = None,
) -> Outcome:
    """Measures all accuracy metrics of an estimator; the same cell and seed give the same numbers.

    Args:
        problem: The problem.
        estimator: The estimator; fitted first if it has something to fit.
        samples: Draws per estimate, n.
        settings: Precision, resolution and budget.
        reference: The exact gradient. With None, there are no rows of the bias and the mean squared error.
        execution: Device, dtype, mode and seeds.
        scale: The length in the place of ‖g‖ where g is zero or nearly zero. Default: that of a typical estimate.

    Raises:
        BadInput: The estimator or the objective sets torch's seed, or the objective changes z or θ.
    """
    off, began = known_bias(problem, estimator), time.perf_counter()
    with opened(problem, estimator, samples, execution) as cell:
        counted = count(cell.eager)
        calls = sum(counted)
        within = settings.within(calls)
        chunk = quarter(cell.replicates, within.max_replicates)

        def draw(index: int) -> Tensor:
            own = execution.seed_of(index)
            seed_draws(own, execution.device)
            estimates = cell.gradients(chunk)
            if torch.initial_seed() != own:
                raise BadInput("torch's seed was set while estimates were drawn, so they are not independent")
            return estimates

        sampling = Sampling(
            draw,
            chunk,
            keeper(cell.eager, reference, execution.seed_of("size")),
            allowing(off, within.after(time.perf_counter() - began)),
            tolerance=RELATIVE_ROUNDING[execution.dtype],
            exact=cell.eager.estimator.traits.exact and not cell.eager.noisy,
            rare=lambda replicates: rare_outcomes(cell.eager, replicates),
            control=control_of(cell.eager, calls, execution.seed_of("control")),
            scale=scale,
        )
        first = judged = Judged(sampling, sampling.run())
        spent = time.perf_counter() - began
        if within.max_seconds is None or spent < SECOND_STAGE_FROM * within.max_seconds:
            judged = settled_again(first, cell, within.after(spent), execution.seed_of)
        found = outcome(sampling, judged, (*cell.fitting, *counted_rows(*counted)))
        rows = rollout_measurements(problem, cell.eager, execution, chunk, sampling.kept)
        found = replace(found, measurements=(*found.measurements, *rows))
        if cell.eager.noisy:
            triples = Triples(cell.eager, execution, chunk)
            rest = within.after(time.perf_counter() - began)
            parts = variance_parts(triples, sampling.kept, rest, sampling.rules.tolerance)
            found = replace(found, measurements=(*found.measurements, *parts))
        return with_tolerance(off, problem, found)


def counted_rows(calls: float, gradient_calls: float) -> Iterator[Measurement]:
    """The rows for the calls of f and of its gradient per estimate."""
    yield Measurement("evaluations", calls, method="counted")
    yield Measurement("gradient_evaluations", gradient_calls, method="counted")


def known_bias(problem: Problem, estimator: Estimator) -> float:
    """The relative bias that torch's own pathwise gradient of the family may cause in this estimator; 0 if none."""
    return problem.family.pathwise_tolerance if Need.REPARAMETERISED in estimator.traits.needs else 0.0


def allowing(off: float, settings: AccuracySettings) -> AccuracySettings:
    """The settings with a resolution no finer than the known bias `off`.

    >>> allowing(5e-4, AccuracySettings(bias_resolution=1e-4)).bias_resolution
    0.0005
    """
    return replace(settings, bias_resolution=max(settings.bias_resolution, off))


def with_tolerance(off: float, problem: Problem, outcome: Outcome) -> Outcome:
    """Adds a note to the outcome about torch's known pathwise bias."""
    if not off:
        return outcome
    known = f"torch's own pathwise gradient of {problem.family.name} may be off by {off:g}, which is tolerated"
    return replace(outcome, reason="; ".join(filter(None, (outcome.reason, known))))


def keeper(gradients: Gradients, reference: Reference | None, seed: int) -> Replicates:
    """The summary that collects the estimates: for the whole of θ and, if θ has several entries, for each entry.

    `seed`: of the draws that show the typical size of a score-function estimate.
    """
    own = gradients.blocks
    blocks = {"all": slice(0, max(block.stop for block in own.values()))} | (own if len(own) > 1 else {})
    if reference is None:
        return Replicates(blocks, None, None)
    torch.manual_seed(seed)
    size = typical_size(gradients)
    return Replicates(blocks, vector(reference.gradient), vector(reference.error), size, only=next(iter(own)))


def outcome(sampling: Sampling, judged: Judged, cost: tuple[Measurement, ...]) -> Outcome:
    """All rows of a cell, with the rows in `cost` last.

    Args:
        sampling: The estimates whose spread is reported.
        judged: The estimates whose mean was judged: the same, or adjusted ones.
        cost: The rows of the cost.
    """
    kept, verdict, stopped = sampling.kept, judged.verdict, judged.ended.stop_reason
    rows = list(cell_measurements(kept))
    if kept.count < 2:
        rows.append(Measurement("variance", float("nan"), method="no estimate is finite"))
        return Outcome((*rows, *cost), kept.drawn, stopped, "", verdict.reason)
    direction, scale = direction_of(judged), scale_verdict_of(judged)
    for name in kept.blocks:
        p = verdict.p if name == "all" else None
        told = {"angle": direction.reason, "scale": scale.reason} if name == "all" else {}
        rows += block_measurements(kept.block(name), name, p, sampling.rules.tolerance, told, judged=judged)
    return Outcome((*rows, *cost), kept.drawn, stopped, verdict.word, verdict.reason, direction.word, scale.word,
                   packed(kept.block("all").batch_spread))  # fmt: skip


def direction_of(judged: Judged) -> Verdict:
    """The verdict on the direction; empty without an exact gradient or without a verdict on the bias."""
    kept, bias = judged.sampling.kept, judged.verdict
    if kept.target is None or not bias.word:
        return Verdict("", "")
    return judge_direction(kept.block("all"), judged.sampling.rules, bias)


def scale_verdict_of(judged: Judged) -> Verdict:
    """The verdict on the scale; empty without an exact gradient or without a verdict on the bias."""
    kept, bias = judged.sampling.kept, judged.verdict
    if kept.target is None or not bias.word:
        return Verdict("", "")
    return judge_scale(kept.block("all"), judged.sampling.rules, bias)


def vector(values: Tensors) -> np.ndarray:
    """A gradient as one float64 vector."""
    return as_vector(values).double().cpu().numpy()
