"""The verdict on a difference of two means, on blocks with a known truth."""

from functools import partial

import numpy as np
import pytest
import torch

from bench.statistics.block import Block
from bench.statistics.control import nothing_known
from bench.statistics.difference import judge_difference, mean_length, relative_difference
from bench.statistics.stream import Replicates
from bench.statistics.verdict import Rules, Verdict

RULES = Rules(resolution=0.1, level=1e-5, looks=2, tolerance=1e-12)
B = np.array([3.0, 0.0, 4.0])


def block(rows: np.ndarray, target: np.ndarray | None) -> Block:
    kept = Replicates({"all": slice(0, rows.shape[1])}, target, None if target is None else 0 * target)
    kept.look()
    kept.add(torch.as_tensor(rows[:1024]))
    kept.look()
    kept.add(torch.as_tensor(rows[1024:]))
    return kept.block("all")


def judged(shift: np.ndarray, seed: int, sd: float = 1.0, **more) -> Verdict:
    """4096 rows of each; E a − E b is `shift`."""
    rng = np.random.default_rng(seed)
    b = B + sd * rng.standard_normal((4096, 3))
    a = B + shift + sd * rng.standard_normal((4096, 3))
    judge = partial(judge_difference, **more)
    return judge(block(a - b + B, B), mean_length(block(b, None)), RULES, rejected_before=True)


def test_means_that_are_the_same_differ_or_lie_between():
    assert judged(0 * B, 0).word == "same"
    assert judged(0.3 * B, 0).word == "differs"
    between = judged(0.1 * B, 0)
    assert between.word == "unclear" and ("would settle it" in between.reason or "too close" in between.reason)


def test_a_difference_below_the_resolution_is_the_same_and_said():
    found = judged(np.array([0.2, 0.0, 0.0]), 0)
    assert found.word == "same" and "a difference of 0.04" in found.reason and "coordinate 0" in found.reason


def test_differs_needs_two_rejections_and_no_unseen_event():
    assert judged(0.3 * B, 0, control=nothing_known).word == "unclear"
    rng = np.random.default_rng(0)
    b, a = (B * scale + rng.standard_normal((4096, 3)) for scale in (1.0, 1.3))
    other = mean_length(block(b, None))
    assert judge_difference(block(a - b + B, B), other, RULES, rejected_before=False).word == "unclear"
    assert judge_difference(block(a - b + B, B), other, RULES, rejected_before=True).word == "differs"


def test_same_is_rarely_said_of_a_difference_of_the_resolution():
    """At most 5 % of 40 studies; more than 12 with a chance below 1e-6. By the value alone it would be half of them."""
    shift = np.array([0.5, 0.0, 0.0])
    found = [judged(shift, seed) for seed in range(40)]
    assert sum(each.word == "same" for each in found) <= 12
    assert not any(each.word == "differs" for each in found[:20])
    rng = np.random.default_rng(0)
    means = shift[0] + rng.standard_normal(40) * (2 / 4096) ** 0.5
    assert (means <= 0.5).sum() > 12  # what the value alone would say


@pytest.mark.parametrize(("length", "high"), [(5.0, True), (0.0, False)])
def test_the_unit_is_the_less_favourable_end(length, high):
    rng = np.random.default_rng(0)
    b = length * B / 5 + rng.standard_normal((4096, 3))
    a = b[::-1] + np.array([0.5, 0, 0])
    found = relative_difference(block(a - b + B, B), mean_length(block(b, None)))
    plain, unit = block(a - b + B, B).deviation().interval(), mean_length(block(b, None)).interval()
    assert found.low == pytest.approx(plain.low / unit.high)
    assert np.isfinite(found.high) == high
    assert not high or found.high == pytest.approx(plain.high / unit.low)
