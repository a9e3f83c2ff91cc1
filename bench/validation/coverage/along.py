"""Coverage of the metrics of rollouts: slopes along the mean, weights of prompts, and means over replicates."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from bench.measure.accuracy.rollout_metrics import interval_of
from bench.provenance.seeds import chunk_seed
from bench.statistics.along_mean import part_weight, slope_along_mean
from bench.statistics.stream import Replicates
from bench.tables.metrics import Measurement
from bench.validation.coverage.noise import NOISES
from bench.validation.coverage.study import line

STUDY_ESTIMATES = 4096
PROMPTS = 4


@dataclass(frozen=True)
class AlongCase:
    """Estimates in `dim` coordinates, a quarter of them of each prompt, with signal-to-noise `snr`.

    The prompts' weights are 2, 1, ½ and ½, to be divided by their mean.
    """

    noise: str
    dim: int
    snr: float

    @property
    def target(self) -> np.ndarray:
        """g `[P]`."""
        return np.where(np.arange(self.dim) % 3 == 0, 1.0, -0.5)

    @property
    def mean(self) -> np.ndarray:
        """E ĝ `[P]`: g times the weight of each prompt."""
        mean = self.target * np.repeat([2.0, 1.0, 0.5, 0.5], self.dim // PROMPTS)
        return mean * self.snr * self.dim**0.5 / np.linalg.norm(mean)

    @property
    def direction(self) -> np.ndarray:
        """h `[P]`, neither along E ĝ nor orthogonal to it."""
        return np.cos(np.arange(self.dim)) + 0.5 * self.target

    def truths(self) -> dict[str, float]:
        """The slope along the mean, the first prompt's weight, and the mean of a share."""
        mean = self.mean
        return {
            "length_slope": float(self.direction @ mean / np.linalg.norm(mean)),
            "prompt_weight": 2.0,
            "clipped_share": 0.05,
        }


ALONG_CASES = {
    f"along_{noise}": tuple(AlongCase(noise, dim, snr) for dim in (8, 400) for snr in (0.2, 1.0))
    for noise in ("normal", "exponential", "two_point")
}


def along_study(case: AlongCase, index: int) -> dict[str, Measurement]:
    """Measures one study; `index` is the seed."""
    torch.manual_seed(chunk_seed(index, repr(case), 0))
    kept = Replicates({"all": slice(0, case.dim)}, case.target, np.zeros(case.dim))
    for _ in range(4):
        kept.add(torch.tensor(case.mean) + NOISES[case.noise].draw(STUDY_ESTIMATES // 4, case.dim))
    block, number = kept.block("all"), np.repeat(np.arange(PROMPTS), case.dim // PROMPTS)
    gradients = np.where(np.arange(PROMPTS)[:, None] == number, case.target, 0.0)
    shares = (torch.rand(STUDY_ESTIMATES, 20) < 0.05).double().mean(1).numpy()  # 20 tokens a replicate
    found = {
        "length_slope": slope_along_mean(block, case.direction),
        "prompt_weight": part_weight(block, 0, gradients),
        "clipped_share": interval_of("clipped_share", shares),
    }
    return {metric: Measurement.of(metric, interval) for metric, interval in found.items()}


def along_lines(name: str, index: range) -> Iterator[dict[str, object]]:
    """Yields a row per case and metric; the slope of the entropy is that of the length with another h."""
    for case in ALONG_CASES[name]:
        found = [along_study(case, i) for i in index]
        for metric, truth in case.truths().items():
            rows = [each[metric] for each in found]
            missing = float(np.mean([row.ci_low is None for row in rows]))
            yield {"noise": name, "kurtosis": NOISES[case.noise].kurtosis, "dim": case.dim,
                   "relative_bias": 0.0, "boundary": False, "replicates": float(STUDY_ESTIMATES),
                   **line(f"{metric}, snr {case.snr:g}", truth, rows, missing)}  # fmt: skip
