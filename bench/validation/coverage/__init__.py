"""How often the nominal 95 % intervals hold the truth: synthetic estimates under the sweep's own stopping rules.

Each study draws estimates ĝ = E ĝ + scale × noise with known moments, measures them as a sweep would, and asks of
every interval whether it holds the true value. `make coverage` writes the table into `results/coverage/`.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat

import pandas as pd
import torch

from bench.measure.accuracy.stopping import AccuracySettings
from bench.validation.coverage.case import StudyCase
from bench.validation.coverage.noise import NOISES
from bench.validation.coverage.study import STUDY_SETTINGS, Study, outside, study, summarised

__all__ = ["NOISES", "StudyCase", "coverage", "outside"]


def coverage(
    cases: list[StudyCase], studies: int, settings: AccuracySettings = STUDY_SETTINGS, jobs: int = 1
) -> pd.DataFrame:
    """The table: one line per case and metric."""
    if jobs == 1:
        tables = [_measured(case, studies, settings, map) for case in cases]
    else:
        with ProcessPoolExecutor(jobs, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            tables = [_measured(case, studies, settings, pool.map) for case in cases]
    return pd.concat(tables, ignore_index=True)


def _measured(
    case: StudyCase, studies: int, settings: AccuracySettings, each: Callable[..., Iterable[Study]]
) -> pd.DataFrame:
    """All studies of one case, made by `map` or by a pool's map."""
    return pd.DataFrame(
        summarised(case, list(each(study, repeat(case), range(case.studies(studies)), repeat(settings))))
    )
