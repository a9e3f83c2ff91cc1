"""Bias and variance of one estimator on one problem: independent estimates against the exact gradient.

Estimates come in chunks, each with a seed of its own, and are looked at a few times fixed beforehand (each look
has four times the estimates of the one before). The measurement stops when the variance is known to the precision
asked for and the verdict on the bias is settled, or when neither can be had within the budget.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from bench.chunks import looks, replicates_per_chunk
from bench.distributions.base import Tensors
from bench.fitting import fitted
from bench.gradients import Gradients, flat
from bench.measured import block_measurements, cell_measurements
from bench.metrics import Measurement, Outcome
from bench.problem import Problem
from bench.rare import rare_outcomes
from bench.reference import Reference
from bench.replicates import Replicates
from bench.seeds import chunk_seed
from bench.statistics.verdict import Rules, Verdict, judge
from estimators.core import Estimator
from estimators.errors import BadInput

ROUNDING = {torch.float64: 1e-12, torch.float32: 1e-6}
"""Agreement asked for where an estimator has no variance, relative to the gradient."""

UNREACHABLE = 2.0
"""A verdict that would take more than this times the budget is given up once the variance is known."""


@dataclass(frozen=True)
class AccuracySettings:
    """When to stop. `precision`: half-width of the variance's 95 % interval, relative. `bias_resolution`: *unbiased*
    is only said when the relative bias is shown to be below it. `level`: the chance that one unbiased cell is called
    biased, before its confirmation; a sweep of 1,000 cells has a family-wise level of 1,000 times that.
    """

    precision: float = 0.05
    bias_resolution: float = 0.02
    max_replicates: int = 1_000_000
    min_replicates: int = 1024
    level: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("precision", "bias_resolution", "level"):
            if not 0 < getattr(self, name) < 1:
                raise BadInput(f"{name} must be between 0 and 1, found {getattr(self, name)}")
        if not 64 <= self.min_replicates <= self.max_replicates:
            raise BadInput(
                f"min_replicates must be at least 64 and at most max_replicates = {self.max_replicates}, "
                f"found {self.min_replicates}"
            )


def measure(
    problem: Problem,
    estimator: Estimator,
    samples: int,
    settings: AccuracySettings,
    reference: Reference | None,
    *,
    cell_id: str,
    seed: int,
    device: str = "cpu",
    dtype: torch.dtype = torch.float64,
    mode: str = "eager",
) -> Outcome:
    """All accuracy metrics of `estimator` at `samples` draws; the same numbers for the same cell and seed."""
    with torch.random.fork_rng(devices=[device] if device.startswith("cuda") else []):
        torch.manual_seed(chunk_seed(seed, cell_id, "fit"))
        estimator, fitting = fitted(problem, estimator, samples, device=device, dtype=dtype)
        gradients = Gradients(problem, estimator, samples, device=device, dtype=dtype)
        chunk = replicates_per_chunk(gradients)
        if mode != "eager":
            gradients = Gradients(problem, estimator, samples, device=device, dtype=dtype, mode=mode)
        run = Run(gradients, chunk, settings, reference, (seed, cell_id))
        outcome = run.outcome()
    return replace(outcome, measurements=(*outcome.measurements, *fitting))


class Run:
    """The measuring of one cell: draws, looks, stops."""

    def __init__(
        self,
        gradients: Gradients,
        chunk: int,
        settings: AccuracySettings,
        reference: Reference | None,
        names: tuple[int, str],
    ) -> None:
        self.gradients, self.chunk, self.settings, self.reference = gradients, chunk, settings, reference
        self.names = names
        tolerance = ROUNDING[next(iter(gradients.parameters.values())).dtype]
        exact = gradients.estimator.traits.exact
        self.looks = [max(chunk, 2)] if exact else looks(chunk, settings.min_replicates, settings.max_replicates)
        self.rules = Rules(settings.bias_resolution, settings.level, len(self.looks), tolerance)
        target, error = (vector(reference.gradient), vector(reference.error)) if reference else (None, None)
        own = gradients.blocks
        blocks = {"all": slice(0, sum(block.stop - block.start for block in own.values()))}
        self.kept = Replicates(blocks | (own if len(own) > 1 else {}), target, error)

    def outcome(self) -> Outcome:
        """Draw until it is time to stop."""
        verdict, rejected, reason = Verdict("", ""), False, "budget"
        for number, look in enumerate(self.looks):
            self.kept.look()
            self.draw_until(look)
            if self.kept.total.count < 2:
                return self.nothing_finite()
            verdict = self.verdict(rejected)
            reason = self.stop(verdict, number)
            if reason:
                break
            rejected = verdict.p is not None and verdict.p <= self.rules.level
        return self.measurements(verdict, reason)

    def draw_until(self, replicates: int) -> None:
        while self.kept.drawn < replicates:
            torch.manual_seed(chunk_seed(*self.names, self.kept.drawn // self.chunk))
            self.kept.add(self.gradients(self.chunk))

    def verdict(self, rejected_before: bool) -> Verdict:
        """What may be said of the bias now."""
        if self.reference is None:
            return Verdict("", "there is no exact gradient to compare with")
        block = self.kept.block("all")
        verdict = judge(block, self.rules, rejected_before, rare_outcomes(self.gradients, self.kept.drawn))
        if self.kept.nonfinite and verdict.settled:
            return replace(verdict, word="unclear", reason=f"{self.kept.nonfinite} estimates are not finite")
        return verdict

    def stop(self, verdict: Verdict, look: int) -> str:
        """Why to stop now, or nothing; estimates that do not vary in two looks are taken to be constant."""
        block, last = self.kept.block("all"), look == len(self.looks) - 1
        if self.kept.nonfinite:
            return "nonfinite"
        if not block.varies(self.rules.tolerance):
            return "exact" if last or look else ""
        precise = block.variance().high <= (1 + self.settings.precision) * block.trace
        done = verdict.settled or self.reference is None
        if precise and done:
            return "precision"
        if last:
            return "budget"
        hopeless = verdict.needed is not None and verdict.needed > UNREACHABLE * self.settings.max_replicates
        return "verdict_out_of_reach" if precise and hopeless else ""

    def nothing_finite(self) -> Outcome:
        rate = self.kept.nonfinite / self.kept.drawn
        rows = (Measurement("nonfinite_rate", rate, n=self.kept.drawn), Measurement("variance", float("nan")))
        return Outcome(rows, self.kept.drawn, "nonfinite", "", f"{rate:.0%} of the estimates are not finite")

    def measurements(self, verdict: Verdict, reason: str) -> Outcome:
        """The table's rows."""
        rows = list(cell_measurements(self.kept, self.reference is not None))
        for name in self.kept.blocks:
            p = verdict.p if name == "all" else None
            rows += block_measurements(self.kept.block(name), name, p, self.rules.tolerance)
        return Outcome(tuple(rows), self.kept.drawn, reason, verdict.word, verdict.reason)


def vector(values: Tensors) -> np.ndarray:
    """A gradient as one float64 vector."""
    return flat(values).double().cpu().numpy()
