"""Coverage of the two intervals of a ratio over problems: estimators whose ratio changes from problem to problem."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from bench.provenance.seeds import chunk_seed
from bench.statistics.additive import additive
from bench.statistics.interval import Interval
from bench.tables.metrics import Measurement
from bench.validation.coverage.study import line

ERRORS_TO_END = 1.959964
"""Half-width of a 95 % interval in standard errors."""
FEWEST_SHARED = 3
"""Problems that the two compared estimators share at least, as in a ranking."""


@dataclass(frozen=True)
class ProblemLaw:
    """A law of problems, from which those of a study are drawn.

    `interactions(rng, shape)`: what an estimator's log variance on a problem has beside both their effects, mean 0.
    `counts`: the numbers of problems. `error`: the median standard error of a measured log variance; each cell has its
    own, with factors of 2 among them. `estimators`: their number, of which the first two are compared. `share`: the
    share of cells that are there.
    """

    interactions: Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
    counts: tuple[int, ...]
    error: float = 0.1
    estimators: int = 2
    share: float = 1.0


def no_interactions(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Returns zeros: the ratio is the same on every problem."""
    return np.zeros(shape)


def normal_interactions(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Returns standard normal values."""
    return rng.standard_normal(shape)


def skewed_interactions(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Returns exponential values less their mean for the first estimator, and zeros for the others."""
    found = np.zeros(shape)
    found[0] = rng.exponential(size=shape[1]) - 1
    return found


OVER_PROBLEMS = {
    "problems_alike": ProblemLaw(no_interactions, (3, 5, 12)),
    "problems_differ": ProblemLaw(normal_interactions, (2, 3, 5, 12, 50)),
    "problems_skewed": ProblemLaw(skewed_interactions, (5, 12, 50)),
    "problems_with_gaps": ProblemLaw(normal_interactions, (5, 12, 30), 0.3, estimators=6, share=0.75),
}


def over_problems_lines(name: str, index: range) -> Iterator[dict[str, object]]:
    """Yields a row per number of problems (column `dim`) and interval."""
    for k in OVER_PROBLEMS[name].counts:
        found = [over_problems_study(name, k, i) for i in index]
        for interval, own in zip(("measuring", "choice of problems"), zip(*found, strict=True), strict=True):
            yield {"noise": name, "kurtosis": 3.0, "dim": k, "relative_bias": 0.0, "boundary": False,
                   **line(f"ratio, {interval}", 0.0, list(own), 0.0)}  # fmt: skip


def over_problems_study(name: str, k: int, index: int) -> tuple[Measurement, Measurement]:
    """Returns the two intervals of one study on the log scale, less the true values.

    The true value of the first is the same fit to the true log variances: it holds for these problems. That of the
    second is the difference of the two estimators' effects: it holds for the law of problems.
    """
    law = OVER_PROBLEMS[name]
    rng = np.random.default_rng(chunk_seed(index, name, str(k)))
    rows, problems = _cells(rng, law, k)
    effects = 0.5 * np.arange(law.estimators)
    truth = effects[:, None] + 3 * rng.standard_normal(k) + law.interactions(rng, (law.estimators, k))
    true = truth[rows, problems]
    error = law.error * 2 ** rng.uniform(-1, 1, len(rows))
    log = true + error * rng.standard_normal(len(rows))
    values = Interval(*np.exp([log, log - ERRORS_TO_END * error, log + ERRORS_TO_END * error]))
    model = additive(rows, problems, problems, values)
    on_these = float((model.weights[0] - model.weights[1]) @ true)
    found = model.ratio(0, 1)
    return _less("measuring", found.measured, on_these), _less("choice", found.chosen, float(effects[0] - effects[1]))


def _cells(rng: np.random.Generator, law: ProblemLaw, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows and the problems of the cells that are there; the first two share `FEWEST_SHARED` problems."""
    while True:
        present = rng.random((law.estimators, k)) < law.share
        if (present[0] & present[1]).sum() >= min(FEWEST_SHARED, k) and present.any(0).all():
            rows, problems = np.nonzero(present)
            return rows, problems


def _less(metric: str, found: Interval, true: float) -> Measurement:
    value, low, high = (float(np.log(each)) - true for each in found)
    return Measurement(metric, value, low, high)
