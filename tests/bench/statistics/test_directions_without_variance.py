"""Whether batch means span all directions: from the Gram matrix, where that is certain, else from the decomposition."""

import numpy as np
import pytest
import torch

from bench.statistics import bias
from bench.statistics.bias import spanned, zero_bias
from bench.statistics.control import known_control
from bench.statistics.stream import Replicates


def centred(rows: int, columns: int, rank: int) -> np.ndarray:
    draws = np.random.default_rng(rows * columns + rank)
    found = draws.normal(size=(rows, rank)) @ draws.normal(size=(rank, columns))
    return found - found.mean(0)


@pytest.mark.parametrize(("rows", "columns"), [(64, 5), (64, 62), (64, 63), (64, 64), (64, 200), (8, 3), (2, 2)])
def test_full_rank_is_seen_and_a_missing_direction_is_never_overlooked(rows, columns):
    most = min(rows - 1, columns)
    assert spanned(centred(rows, columns, most), most, 0.0)
    for missing in range(1, most):
        assert not spanned(centred(rows, columns, most - missing), most, 0.0)


def test_what_is_no_larger_than_rounding_does_not_count():
    values = centred(64, 5, 5)
    values[:, 4] *= 1e-9
    assert not spanned(values, 5, 0.0)  # the Gram matrix cannot tell: the decomposition decides
    least = np.linalg.svd(values[:, :4], compute_uv=False)[-1]
    assert spanned(values[:, :4], 4, 0.4 * least) and not spanned(values[:, :4], 4, 0.6 * least)


@pytest.mark.parametrize("tied", [False, True])
def test_the_test_of_zero_bias_is_the_same_with_the_decomposition_alone(tied, monkeypatch):
    x = torch.randn(2048, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    if tied:  # the mean of these two is off in the direction in which they do not vary
        x[:, 1] = x[:, 0] + 0.5
    kept = Replicates({"all": slice(0, 20)}, np.zeros(20), np.zeros(20))
    kept.add(x)
    block = kept.block("all")

    def found() -> tuple[object, ...]:
        tested = zero_bias(block.moments, block.exact, 1e-12, None, block.batches, control=known_control)
        return tested.p, tested.where, tested.worst, tested.untested.tolist(), tested.constant.tolist()

    quick = found()
    assert (quick[1] == "in a direction without variance") == tied
    monkeypatch.setattr(bias, "spanned", lambda *_: False)
    assert quick == found()
