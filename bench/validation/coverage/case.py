"""One line of the coverage study: synthetic estimates with a stated bias, and every number's true value."""

import math
from dataclasses import dataclass

import numpy as np

from bench.validation.coverage.noise import NOISES

SNR = 2.0
"""‖E ĝ‖/√tr Σ of every case: both verdicts can be reached within the budget."""

SPREADS = {"variance", "variance_max", "mse", "variance_ratio"}


@dataclass(frozen=True)
class StudyCase:
    """One line of the study: a noise in P coordinates, and a bias relative to ‖g‖ (half of it along g)."""

    noise: str
    dim: int
    bias: float

    @property
    def scale(self) -> np.ndarray:
        """Standard deviations of the coordinates, falling as 1/√j."""
        return 1 / np.sqrt(np.arange(1, self.dim + 1))

    @property
    def mean(self) -> np.ndarray:
        """E ĝ, spread over the coordinates."""
        direction = np.where(np.arange(self.dim) % 3 == 0, 1.0, -0.5) * self.scale
        return direction / np.linalg.norm(direction) * SNR * np.linalg.norm(self.scale)

    @property
    def target(self) -> np.ndarray:
        """g: E ĝ without its bias, of the same length in every direction that there is."""
        mean = self.mean
        along, across = (1.0, 0.0) if self.dim == 1 else (0.5**0.5, 0.5**0.5)
        normal = np.roll(mean, 1) if self.dim > 1 else mean
        normal = normal - mean * (normal @ mean) / (mean @ mean)
        normal = normal / np.linalg.norm(normal) * np.linalg.norm(mean) if self.dim > 1 else normal * 0
        return mean - self.bias * (along * mean + across * normal)

    def truths(self) -> dict[str, float]:
        """What each interval should hold; the ratio is of the variances of two cells that are alike."""
        mean, target, variance = self.mean, self.target, self.scale**2
        bias, length = float(np.linalg.norm(mean - target)), float(np.linalg.norm(target))
        trace = float(variance.sum())
        return {
            "bias": bias,
            "relative_bias": bias / length,
            "scale": float(mean @ target) / length**2,
            "cosine": min(float(mean @ target) / length / float(np.linalg.norm(mean)), 1.0),
            "variance": trace,
            "variance_max": float(variance.max()),
            "mse": trace + bias**2,
            "snr": float(np.linalg.norm(mean)) / trace**0.5,
            "variance_ratio": 1.0,
        }

    def studies(self, most: int) -> int:
        """How many to make: fewer where heavy tails in many coordinates let none end before the last look."""
        kurtosis = NOISES[self.noise].kurtosis
        if kurtosis == math.inf and self.dim >= 100:
            return max(most // 50, 2)
        return max(most // 10, 2) if kurtosis > 100 and self.dim >= 1000 else most

    def boundary(self, metric: str) -> bool:
        """Whether the true value is at the end of its range, where an interval holds it more often.

        In one coordinate the scale is 1 ± the relative bias, so that it is at the boundary where the bias is; so is
        the signal-to-noise ratio of two points, whose spread is known.
        """
        known_spread = NOISES[self.noise].kurtosis == 1
        told_by_bias = {"bias", "relative_bias", "cosine"}
        if self.dim == 1:
            told_by_bias |= {"scale", "snr"} if known_spread else {"scale"}
        least = known_spread and metric in SPREADS
        return least or (self.bias == 0 and metric in told_by_bias) or (metric == "cosine" and self.dim == 1)
