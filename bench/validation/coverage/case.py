"""A case of the coverage study: synthetic estimates with a stated bias, and the true value of every metric."""

import math
from dataclasses import dataclass

import numpy as np

from bench.validation.coverage.noise import NOISES

SNR = 2.0
"""‖E ĝ‖/√tr Σ of every case: both verdicts can be reached within the budget."""

SPREADS = {"variance", "variance_max", "mse", "variance_ratio"}


@dataclass(frozen=True)
class StudyCase:
    """A noise in P coordinates, and a bias relative to ‖g‖ (half of the squared bias is along g)."""

    noise: str
    dim: int
    bias: float

    @property
    def scale(self) -> np.ndarray:
        """Standard deviations of the coordinates `[P]`, falling as 1/√j."""
        return 1 / np.sqrt(np.arange(1, self.dim + 1))

    @property
    def mean(self) -> np.ndarray:
        """E ĝ `[P]`, nonzero in all coordinates."""
        direction = np.where(np.arange(self.dim) % 3 == 0, 1.0, -0.5) * self.scale
        return direction / np.linalg.norm(direction) * SNR * np.linalg.norm(self.scale)

    @property
    def target(self) -> np.ndarray:
        """g `[P]`: E ĝ without its bias, which has the same length along and across E ĝ (P = 1: only along)."""
        mean = self.mean
        along, across = (1.0, 0.0) if self.dim == 1 else (0.5**0.5, 0.5**0.5)
        normal = np.roll(mean, 1) if self.dim > 1 else mean
        normal = normal - mean * (normal @ mean) / (mean @ mean)
        normal = normal / np.linalg.norm(normal) * np.linalg.norm(mean) if self.dim > 1 else normal * 0
        return mean - self.bias * (along * mean + across * normal)

    @property
    def angle(self) -> float:
        """The angle between E ĝ and g in degrees, from its sine and cosine: accurate at 0, too."""
        mean, g = self.mean, self.target / np.linalg.norm(self.target)
        along = float(mean @ g)
        across = np.linalg.norm(mean - along * g) if self.bias and self.dim > 1 else 0.0
        return float(np.rad2deg(np.arctan2(across, along)))

    def truths(self) -> dict[str, float]:
        """Returns the true value of each metric; `variance_ratio` is between two cells of the same case."""
        mean, target, variance = self.mean, self.target, self.scale**2
        bias, length = float(np.linalg.norm(mean - target)), float(np.linalg.norm(target))
        trace = float(variance.sum())
        return {
            "bias": bias,
            "relative_bias": bias / length,
            "scale": float(mean @ target) / length**2,
            "cosine": min(float(mean @ target) / length / float(np.linalg.norm(mean)), 1.0),
            "angle": self.angle,
            "variance": trace,
            "variance_max": float(variance.max()),
            "mse": trace + bias**2,
            "snr": float(np.linalg.norm(mean)) / trace**0.5,
            "variance_ratio": 1.0,
        }

    def studies(self, most: int) -> int:
        """Returns the number of studies: fewer than `most` for heavy tails in many coordinates, where every study
        continues to the last look."""
        kurtosis = NOISES[self.noise].kurtosis
        if kurtosis == math.inf and self.dim >= 100:
            return max(most // 50, 2)
        return max(most // 10, 2) if kurtosis > 100 and self.dim >= 1000 else most

    def boundary(self, metric: str) -> bool:
        """Returns True if the true value is at the boundary of its range, where coverage is higher.

        In one coordinate the scale is 1 ± the relative bias, so it is at its boundary when the bias is; the same holds
        for the signal-to-noise ratio of two points, whose variance is known.
        """
        known_spread = NOISES[self.noise].kurtosis == 1
        told_by_bias = {"bias", "relative_bias", "cosine", "angle"}
        if self.dim == 1:
            told_by_bias |= {"scale", "snr"} if known_spread else {"scale"}
        least = known_spread and metric in SPREADS
        return least or (self.bias == 0 and metric in told_by_bias) or (metric in {"cosine", "angle"} and self.dim == 1)
