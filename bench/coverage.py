"""How often the nominal 95 % intervals hold the truth: synthetic gradients under the sweep's own stopping rule.

Each study draws estimates ĝ = E ĝ + scale × noise with known moments, measures them as a sweep would, and asks of
every interval whether it holds the true value. `python -m bench.coverage --out results/coverage` writes the table.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from bench.measured import block_measurements
from bench.metrics import Measurement
from bench.replicates import Replicates
from bench.seeds import chunk_seed
from bench.sequential import AccuracySettings, Sampling

SNR = 2.0
"""‖E ĝ‖/√tr Σ of every case: both verdicts can be reached within the budget."""

SETTINGS = AccuracySettings(max_replicates=262_144)


@dataclass(frozen=True)
class Noise:
    """A standardised distribution. `draw(R, P)`: mean 0, variance 1; `kurtosis`: its fourth moment, maybe infinite.

    `shared`: all coordinates of a replicate are one draw times a sign each.
    """

    name: str
    draw: Callable[[int, int], Tensor]
    kurtosis: float
    shared: bool = False


def exponential(rows: int, columns: int) -> Tensor:
    return torch.empty(rows, columns).exponential_() - 1


def score_quadratic(rows: int, columns: int) -> Tensor:
    """REINFORCE on (x − k)², x ~ N(μ, 1), μ − k = 1: mean 2, variance 30."""
    x = torch.randn(rows, columns)
    return ((x + 1) ** 2 * x - 2) / 30**0.5


def lognormal(rows: int, columns: int) -> Tensor:
    return (torch.randn(rows, columns).exp() - math.exp(0.5)) / math.sqrt((math.e - 1) * math.e)


def student(rows: int, columns: int) -> Tensor:
    normal = torch.randn(4, rows, columns)
    return normal[0] / (normal[1:].square().sum(0) / 3).sqrt() / 3**0.5


def rare_bit(rows: int, columns: int, p: float = 0.02) -> Tensor:
    return ((torch.rand(rows, columns) < p).float() - p) / math.sqrt(p * (1 - p))


def two_point(rows: int, columns: int) -> Tensor:
    return (torch.rand(rows, columns) < 0.5).float() * 2 - 1


def common_scale(rows: int, columns: int) -> Tensor:
    """One exponential draw per replicate times signs: the whole gradient is large or small together."""
    return torch.empty(rows, 1).exponential_() / 2**0.5 * two_point(rows, columns)


def one_direction(rows: int, columns: int) -> Tensor:
    """All coordinates share one draw: a covariance of rank one."""
    return exponential(rows, 1).expand(rows, columns)


NOISES = {
    noise.name: noise
    for noise in (
        Noise("normal", torch.randn, 3.0),
        Noise("exponential", exponential, 9.0),
        Noise("score_quadratic", score_quadratic, 42.12),
        Noise("lognormal", lognormal, 113.94),
        Noise("bernoulli", rare_bit, 1 / (0.02 * 0.98) - 3),
        Noise("two_point", two_point, 1.0),
        Noise("common_scale", common_scale, 6.0),
        Noise("one_direction", one_direction, 9.0, shared=True),
        Noise("student_3", student, math.inf),
    )
}


@dataclass(frozen=True)
class Case:
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
        """What each interval should hold."""
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
        }

    def boundary(self, metric: str) -> bool:
        """Whether the true value is at the end of its range, where an interval holds it more often."""
        least = NOISES[self.noise].kurtosis == 1 and metric in {"variance", "variance_max", "mse"}
        unbiased = self.bias == 0 and metric in {"bias", "relative_bias", "cosine"}
        return least or unbiased or (metric == "cosine" and self.dim == 1)


@dataclass(frozen=True)
class Study:
    """One measurement of a case: by metric, whether its interval holds the truth (None without one), and whether
    it says that it may not."""

    held: dict[str, bool | None]
    flagged: dict[str, bool]
    verdict: str
    replicates: int


def study(case: Case, index: int, settings: AccuracySettings) -> Study:
    """Measure synthetic gradients as a sweep would."""
    noise, chunk = NOISES[case.noise], 1 << max(6, min(13, (300_000 // case.dim).bit_length() - 1))
    mean, scale = torch.tensor(case.mean), torch.tensor(case.scale)

    def draw(chunk_index: int) -> Tensor:
        torch.manual_seed(chunk_seed(index, repr(case), chunk_index))
        return mean + scale * noise.draw(chunk, case.dim)

    kept = Replicates({"all": slice(0, case.dim)}, case.target, np.zeros(case.dim))
    ended = Sampling(draw, chunk, kept, settings).run()
    rows = {row.metric: row for row in block_measurements(kept.block("all"), "all", None, 1e-12)}
    held = {metric: holds(rows[metric], truth) for metric, truth in case.truths().items()}
    flagged = {metric: held[metric] is None or "approximate" in rows[metric].method for metric in held}
    return Study(held, flagged, ended.verdict.word, kept.drawn)


def holds(row: Measurement, truth: float) -> bool | None:
    """Whether the interval holds the truth, up to rounding; None where a sentence stands in its place."""
    if row.ci_low is None or row.ci_high is None:
        return None
    slack = 1e-9 * abs(truth)
    return row.ci_low - slack <= truth <= row.ci_high + slack


def summarised(case: Case, studies: list[Study]) -> Iterator[dict[str, object]]:
    """The lines of one case: the coverage of each interval, flagged or not, over the studies that gave one."""
    words = [each.verdict for each in studies]
    for metric, truth in case.truths().items():
        given = [held for each in studies if (held := each.held[metric]) is not None]
        yield {
            "noise": case.noise,
            "kurtosis": NOISES[case.noise].kurtosis,
            "dim": case.dim,
            "relative_bias": round(case.truths()["relative_bias"], 4),
            "metric": metric,
            "truth": truth,
            "studies": len(studies),
            "flagged": sum(each.flagged[metric] for each in studies) / len(studies),
            "coverage": float(np.mean(given)) if given else math.nan,
            "standard_error": math.sqrt(0.95 * 0.05 / len(given)) if given else math.nan,
            "boundary": case.boundary(metric),
            "replicates": float(np.mean([each.replicates for each in studies])),
            **{word: words.count(word) / len(words) for word in ("unbiased", "biased", "unclear")},
        }


def coverage(cases: list[Case], studies: int, settings: AccuracySettings = SETTINGS, jobs: int = 1) -> pd.DataFrame:
    """The table: one line per case and metric."""
    tasks = [(case, index, settings) for case in cases for index in range(studies)]
    if jobs == 1:
        results = [study(*task) for task in tasks]
    else:
        with ProcessPoolExecutor(jobs, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            results = list(pool.map(study, *zip(*tasks, strict=True), chunksize=8))
    groups = [results[i : i + studies] for i in range(0, len(results), studies)]
    return pd.DataFrame(row for case, group in zip(cases, groups, strict=True) for row in summarised(case, group))


def outside(table: pd.DataFrame) -> pd.DataFrame:
    """The lines whose coverage is outside 93–97 % (below 93 % at a boundary) by more than two standard errors.

    Only where the fourth moment exists, and not where most of the intervals say that they are approximate.
    """
    error = 2 * table["standard_error"]
    low, high = table["coverage"] + error < 0.93, table["coverage"] - error > 0.97
    exists = (table["kurtosis"] < math.inf) & (table["flagged"] < 0.5)
    return table.loc[exists & (low | (high & ~table["boundary"]))]


def main() -> None:
    """Run the study and write its table."""
    parser = argparse.ArgumentParser(prog="python -m bench.coverage", description=main.__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/coverage"), help="the folder of the table")
    parser.add_argument("--studies", type=int, default=1000, help="measurements per case")
    parser.add_argument("--dims", type=int, nargs="+", default=[1, 10, 100, 1000], help="numbers of coordinates")
    parser.add_argument("--noises", nargs="+", default=list(NOISES), choices=list(NOISES), help="distributions")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    tables = []
    for noise in given.noises:
        cases = [Case(noise, dim, bias) for dim in given.dims for bias in (0.0, 0.2)]
        tables.append(coverage(cases, given.studies, jobs=given.jobs))
        pd.concat(tables).to_csv(given.out / "coverage.csv", index=False, float_format="%.6g")
        print(f"{noise}: coverage {tables[-1].coverage.min():.3f} to {tables[-1].coverage.max():.3f}", flush=True)
    wrong = outside(pd.concat(tables))
    print(wrong.to_string() if len(wrong) else "no interval is outside 93–97 %")


if __name__ == "__main__":
    main()
