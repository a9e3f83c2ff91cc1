"""The interval over problems: log ratios measured where the true ones are known, with ties and without."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from bench.provenance.seeds import chunk_seed
from bench.statistics.interval import Interval
from bench.statistics.ratios import Z_95, interquartile_mean, middle
from bench.tables.metrics import Measurement
from bench.validation.coverage.study import line


@dataclass(frozen=True)
class ProblemLaw:
    """`truth(rng, k)`: the true log ratios of k problems in a study; `counts`: the numbers k; `errors`: the standard
    errors of the measured log ratios."""

    truth: Callable[[np.random.Generator, int], np.ndarray]
    counts: tuple[int, ...]
    errors: tuple[float, ...] = (0.03, 0.3)


def tied(rng: np.random.Generator, k: int) -> np.ndarray:
    """Half of the problems at 0, a quarter at 1, a quarter at 4: equal values at both quartiles."""
    return np.repeat([0.0, 0.0, 1.0, 4.0], k // 4)


def nearly_tied(rng: np.random.Generator, k: int) -> np.ndarray:
    """The same, where half of the zeros are 0.1."""
    return np.repeat([0.0, 0.1, 1.0, 4.0], k // 4)


def all_equal(rng: np.random.Generator, k: int) -> np.ndarray:
    return np.zeros(k)


def normal_ratios(rng: np.random.Generator, k: int) -> np.ndarray:
    return rng.standard_normal(k)


def skewed(rng: np.random.Generator, k: int) -> np.ndarray:
    return rng.exponential(size=k)


OVER_PROBLEMS = {
    "over_problems_ties": ProblemLaw(tied, (12,)),
    "over_problems_many_ties": ProblemLaw(tied, (48,), (0.3,)),
    "over_problems_near_ties": ProblemLaw(nearly_tied, (12,), (0.1,)),
    "over_problems_equal": ProblemLaw(all_equal, (12,), (0.1,)),
    "over_problems_spread": ProblemLaw(normal_ratios, (5, 12, 50), (0.3,)),
    "over_problems_skewed": ProblemLaw(skewed, (12,), (0.3,)),
}


def over_problems_lines(name: str, index: range) -> Iterator[dict[str, object]]:
    """A line per number of problems (column `dim`) and standard error (told in the metric's name)."""
    case = OVER_PROBLEMS[name]
    for k in case.counts:
        for error in case.errors:
            found = [one(name, k, error, i) for i in index]
            yield {"noise": name, "kurtosis": 3.0, "dim": k, "relative_bias": 0.0, "boundary": False,
                   **line(f"interquartile_mean, error {error:g}", 0.0, found, 0.0)}  # fmt: skip


def one(name: str, k: int, error: float, index: int) -> Measurement:
    """One study: the interval's ends on the log scale, relative to the truth."""
    rng = np.random.default_rng(chunk_seed(index, name, f"{k} {error}"))
    truth = OVER_PROBLEMS[name].truth(rng, k)
    log = truth + error * rng.standard_normal(k)
    found = middle(
        Interval(*np.exp([log, log - Z_95 * error, log + Z_95 * error])), [str(i) for i in range(k)], seed=index
    )
    true = float(interquartile_mean(truth[:, None])[0])
    value, low, high = (float(np.log(each)) - true for each in found)
    return Measurement("interquartile_mean", value, low, high)
