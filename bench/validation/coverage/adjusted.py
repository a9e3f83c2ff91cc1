"""Coverage and verdicts of adjusted means: real problems, whose estimates have control variates from a fitted model.

The estimators are unbiased, so the true mean is the exact gradient; a bias is a target that is shifted by it, half of
its square along the gradient and half across.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

import estimators
from bench.distributions import distributions
from bench.measure.accuracy.adjusted_mean import adjustment
from bench.measure.accuracy.measurements import mean_measurements
from bench.measure.accuracy.stopping import AccuracySettings, Sampling
from bench.measure.estimates.gradients import Gradients
from bench.objectives import objectives
from bench.problems.exact import reference
from bench.problems.problem import Problem
from bench.problems.theta import as_vector
from bench.provenance.seeds import chunk_seed
from bench.statistics.control import known_control
from bench.statistics.stream import Replicates
from bench.validation.coverage.study import Study, line

ADJUSTED_SETTINGS = AccuracySettings(precision=0.99, bias_resolution=0.03, max_replicates=16_384)
ADJUSTED_CHUNK = 512


@dataclass(frozen=True)
class AdjustedCase:
    """An unbiased estimator with n = 4 on a family of size 3 with an objective, and a relative bias."""

    family: str
    objective: str
    estimator: str
    bias: float

    @cached_property
    def problem(self) -> Problem:
        """The problem."""
        return Problem(distributions.get(self.family, size=3), objectives.get(self.objective))

    @cached_property
    def mean(self) -> np.ndarray:
        """E ĝ, the exact gradient, `[P]`."""
        exact = reference(self.problem)
        assert exact is not None
        return as_vector(exact.gradient).numpy()

    @property
    def target(self) -> np.ndarray:
        """E ĝ less the bias, `[P]`."""
        mean = self.mean
        across = np.roll(mean, 1) - mean * (np.roll(mean, 1) @ mean) / (mean @ mean)
        across *= np.linalg.norm(mean) / np.linalg.norm(across)
        return mean - self.bias * (mean + across) / 2**0.5

    def truths(self) -> dict[str, float]:
        """The true value of each metric of the mean."""
        mean, target = self.mean, self.target
        bias, length = float(np.linalg.norm(mean - target)), float(np.linalg.norm(target))
        along = float(mean @ target) / length
        across = float(np.linalg.norm(mean - along * target / length)) if self.bias else 0.0
        return {
            "bias": bias,
            "relative_bias": bias / length,
            "scale": along / length,
            "cosine": min(along / float(np.linalg.norm(mean)), 1.0),
            "angle": float(np.rad2deg(np.arctan2(across, along))),
        }


ADJUSTED_CASES = {
    f"adjusted_{name}": tuple(AdjustedCase(family, objective, estimator, bias) for bias in (0.0, 0.1))
    for name, (family, objective, estimator) in {
        "bits": ("bernoulli", "nk_landscape", "reinforce"),
        "leave_one_out": ("normal", "cosine", "rloo"),
        "heavy_tails": ("normal", "exponential", "reinforce"),
    }.items()
}


def adjusted_study(case: AdjustedCase, index: int) -> Study:
    """Measures the adjusted mean as a sweep would; `index` is the seed."""
    gradients = Gradients(case.problem, estimators.get(case.estimator), 4)

    def seed_of(stage: str) -> int:
        return chunk_seed(index, repr(case), stage)

    found = adjustment(gradients, ADJUSTED_CHUNK, seed_of, 1e-12 * np.abs(case.mean))
    assert found is not None

    def draw(chunk: int) -> Tensor:
        torch.manual_seed(seed_of(f"adjusted {chunk}"))
        return found(ADJUSTED_CHUNK)

    kept = Replicates({"all": slice(0, len(case.mean))}, case.target, np.zeros(len(case.mean)))
    ended = Sampling(draw, ADJUSTED_CHUNK, kept, ADJUSTED_SETTINGS, control=known_control).run()
    rows = {row.metric: row for row in mean_measurements(kept.block("all"), "all", None, {})}
    return Study(rows, ended.verdict.word, kept.drawn)


def adjusted_lines(name: str, index: range) -> Iterator[dict[str, object]]:
    """Yields a row per case and metric, with the shares of the verdicts."""
    for case in ADJUSTED_CASES[name]:
        found = [adjusted_study(case, i) for i in index]
        words = [each.verdict for each in found]
        for metric, truth in case.truths().items():
            rows = [each.rows[metric] for each in found]
            yield {"noise": name, "kurtosis": 0.0, "dim": len(case.mean),
                   "relative_bias": round(case.truths()["relative_bias"], 4),
                   "boundary": not case.bias and metric != "scale",
                   "replicates": float(np.mean([each.replicates for each in found])),
                   **line(metric, truth, rows, 0.0),
                   **{word: words.count(word) / len(words) for word in ("unbiased", "biased", "unclear")}}  # fmt: skip
