"""An audit says of plain arrays what the suite says of the cells that they come from."""

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import bench
import estimators
from bench.audits.result import Audit
from bench.distributions import distributions
from bench.measure.accuracy import accuracy
from bench.measure.accuracy.stopping import AccuracySettings
from bench.measure.estimates.prepared import Execution
from bench.objectives import objectives
from bench.problems.exact import reference
from bench.problems.problem import Problem
from bench.statistics.stream import Replicates
from bench.tables.metrics import Outcome

PROBLEMS = {
    "bits": Problem(distributions.get("bernoulli", size=5), objectives.get("quadratic_bits")),
    "step": Problem(distributions.get("normal", size=3), objectives.get("step", at=0.5)),
}
ROWS, RESOLUTION = 4096, 0.1
CELLS = [
    *(("bits", name) for name in (
        "antithetic", "arm", "dice", "disarm", "gapped_straight_through", "group_mean", "gumbel_rao", "gumbel_softmax",
        "muprop", "off_policy_clipped", "reinforce", "rloo", "self_critical", "straight_through",
    )),
    *(("step", name) for name in ("group_mean", "measure_valued", "off_policy_clipped", "reinforce", "rloo", "spsa")),
]  # fmt: skip
WORDS = {"unbiased": 6, "biased": 8, "unclear": 6}
"""How many cells of each verdict there are: no verdict is reproduced by always saying the same."""


@cache
def measured(problem: str, estimator: str) -> tuple[Outcome, np.ndarray, np.ndarray, int]:
    """What the suite says of a cell; its estimates as they were drawn; the exact gradient; the size of a chunk."""
    exact = reference(PROBLEMS[problem])
    assert exact is not None
    chunks: list[np.ndarray] = []

    class Recording(Replicates):
        def add(self, chunk: torch.Tensor) -> None:
            if self.target is not None:  # not those of the control
                chunks.append(chunk.detach().clone().numpy())
            super().add(chunk)

    settings = AccuracySettings(bias_resolution=RESOLUTION, min_replicates=ROWS, max_replicates=ROWS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accuracy, "Replicates", Recording)
        patch.setattr(accuracy, "settled_again", lambda first, *more: first)  # an array has no draws to adjust by
        found = accuracy.measure_accuracy(
            PROBLEMS[problem], estimators.get(estimator), 4, settings, exact, execution=Execution("cell", 0)
        )
    return found, np.concatenate(chunks), accuracy.vector(exact.gradient), len(chunks[0])


def audited(problem: str, estimator: str, change: Any = lambda rows: rows) -> Audit:
    """The audit of a cell's estimates, which may be changed before."""
    _, rows, exact, chunk = measured(problem, estimator)
    return bench.audit(change(rows), exact=exact, resolution=RESOLUTION, rarest=3 / ROWS, count=chunk)


def differences(problem: str, estimator: str, found: Any) -> list[str]:
    """What an audit says otherwise than the suite."""
    outcome = measured(problem, estimator)[0]
    said = [] if found.verdict == outcome.verdict else [f"{found.verdict} instead of {outcome.verdict}"]
    table = found.table.set_index("metric")
    left_out = {"evaluations", "gradient_evaluations", "reference_error", "fit_seconds", "fit_evaluations"}
    for row in outcome.measurements:
        if row.block != "all" or row.metric in left_out:
            continue
        for column in ("value", "ci_low", "ci_high"):
            ours, theirs = table.loc[row.metric, column], getattr(row, column)
            ours, theirs = (math.nan if each is None else float(each) for each in (ours, theirs))
            if not np.isclose(ours, theirs, rtol=1e-9, atol=1e-12, equal_nan=True):
                said.append(f"{row.metric}.{column} is {ours} instead of {theirs}")
    return said


@pytest.mark.parametrize(("problem", "estimator"), CELLS, ids=map("-".join, CELLS))
def test_plain_arrays_get_the_verdict_and_the_numbers_of_the_suite(problem, estimator):
    assert not differences(problem, estimator, audited(problem, estimator))


def test_all_verdicts_are_among_the_cells():
    words = [measured(*cell)[0].verdict for cell in CELLS]
    assert {word: words.count(word) for word in WORDS} == WORDS


def one_sign(rows: np.ndarray) -> np.ndarray:
    """One estimate of 4096 with its sign swapped."""
    return np.concatenate([-rows[:1], rows[1:]])


@pytest.mark.parametrize("change", [one_sign, lambda rows: rows[:, ::-1], lambda rows: rows.astype(np.float32)])
def test_another_array_is_told_apart(change):
    assert differences("bits", "rloo", audited("bits", "rloo", change))
