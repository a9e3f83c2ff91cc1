"""What a stream of chunks keeps is what numpy computes from all estimates together."""

import numpy as np
import pytest
import torch

from bench.statistics.chunk_sums import BATCHES, Batching
from bench.statistics.stream import POOLED, Replicates

TARGET = np.array([1.0, -2.0, 0.5, 0.0])
BLOCKS = {"all": slice(0, 4), "loc": slice(0, 3), "scale": slice(3, 4)}


def _estimates(chunks: int, rows: int, spoiled: bool) -> torch.Tensor:
    x = torch.randn(chunks, rows, 4, generator=torch.Generator().manual_seed(rows), dtype=torch.float64).exp()
    if spoiled:
        x[0, 0, 1], x[1, rows // 2, 3], x[2, 1, 0] = float("nan"), float("inf"), 1e80
    return x


@pytest.mark.parametrize("spoiled", [False, True])
@pytest.mark.parametrize("blocks", [{"all": slice(0, 4)}, BLOCKS])
@pytest.mark.parametrize("rows", [4, 32, 64, 256])
def test_a_stream_is_what_numpy_computes(rows, blocks, spoiled):
    x = _estimates(5, rows, spoiled)
    kept = Replicates(blocks, TARGET, np.zeros(4))
    for chunk in x:
        kept.add(chunk)
    plain = x.reshape(-1, 4).numpy()
    good = np.all(np.abs(plain) < 1e70, axis=1)
    slots = np.concatenate([_slots(index * rows, rows) for index in range(5)])[good]
    y = plain[good]
    first = y[: int(good[: max(rows, POOLED)].sum())].mean(0)
    assert kept.drawn == 5 * rows
    assert kept.nonfinite == (~good).sum()
    for name, where in blocks.items():
        found, own, g = kept.block(name), y[:, where], TARGET[where]
        centred = own - own.mean(0)
        sums = [np.array([own[slots == slot].mean(0) for slot in np.unique(slots)]), (centred**2).sum(0)]
        np.testing.assert_allclose(found.batches, sums[0], rtol=1e-12)
        np.testing.assert_allclose(found.moments.m2, sums[1], rtol=1e-11)
        np.testing.assert_allclose(found.moments.m3, (centred**3).sum(0), rtol=1e-9)
        np.testing.assert_allclose(found.moments.m4, (centred**4).sum(0), rtol=1e-10)
        np.testing.assert_allclose(found.distances, ((own - first[where]) ** 2).sum(1), rtol=1e-9, atol=1e-12)
        assert found.against is not None
        np.testing.assert_allclose(found.against.squared, ((own - g) ** 2).sum(1), rtol=1e-9, atol=1e-12)
        length = np.linalg.norm(g)
        along = (own - g) @ g / length if length else np.zeros(len(own))
        np.testing.assert_allclose(found.against.along, along, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("rows", [4, 256])
def test_tiles_of_a_chunk_change_nothing(rows, monkeypatch):
    x = _estimates(5, rows, True)
    found = []
    for numbers, narrowest in ((2**17, 256), (1, 1), (1, 3)):
        monkeypatch.setattr("bench.statistics.chunk_sums.TILE_NUMBERS", numbers)
        monkeypatch.setattr("bench.statistics.chunk_sums.NARROWEST", narrowest)
        kept = Replicates(BLOCKS, TARGET, np.zeros(4))
        for chunk in x:
            kept.add(chunk)
        found.append(kept)
    for other in found[1:]:
        for name in BLOCKS:
            a, b = found[0].block(name), other.block(name)
            assert a.against is not None and b.against is not None
            pairs = [
                (a.distances, b.distances),
                (a.against.squared, b.against.squared),
                (a.batch_spread, b.batch_spread),
            ]
            pairs += [(a.against.along, b.against.along), *zip(a.moments.each, b.moments.each, strict=True)]
            for one, two in pairs:
                np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rows", [1, 2, 8])
def test_small_chunks_are_added_together(rows):
    """The furthest estimate is that of 16: of one alone, it was zero, and a control saw every error."""
    x = _estimates(1, 64, False)[0]
    apart, together = (Replicates(BLOCKS, TARGET, np.zeros(4)) for _ in range(2))
    for chunk in x.split(rows):
        apart.add(chunk)
        assert apart.drawn % rows == 0
    for chunk in x.split(POOLED):
        together.add(chunk)
    assert apart.block("all").groups.chunks == 64 // POOLED
    for one, two in zip(apart.total.each, together.total.each, strict=True):
        np.testing.assert_array_equal(one, two)
    assert (apart.total.furthest > 0).all()


def test_estimates_that_wait_for_others_are_counted_when_they_are_asked_for():
    kept = Replicates({"all": slice(0, 2)}, np.zeros(2), np.zeros(2))
    kept.add(torch.tensor([[1.0, 2.0], [3.0, float("nan")]]))
    assert (kept.drawn, kept.nonfinite, kept.count) == (2, 1, 1)
    kept.add(torch.tensor([[5.0, 2.0]]))
    np.testing.assert_allclose(kept.block("all").moments.mean, [3.0, 2.0])
    kept.look()
    kept.add(torch.tensor([[6.0, 2.0]]))
    assert (kept.fresh.count, kept.total.count) == (1, 3)


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), float("nan")])
def test_float32_estimates_that_are_not_finite_are_left_out(value):
    x = torch.ones(64, 3)
    x[7, 1] = value
    kept = Replicates({"all": slice(0, 3)}, None, None)
    kept.add(x)
    assert (kept.nonfinite, kept.count) == (1, 63)


def _slots(before: int, rows: int) -> np.ndarray:
    return (before + np.arange(rows)) % BATCHES if rows < BATCHES else np.arange(rows) * BATCHES // rows


def test_estimates_far_from_zero_and_near_the_target_keep_their_digits():
    g = np.full(3, 1e6)
    x = torch.as_tensor(g) + 1e-4 * torch.randn(
        4, 128, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    kept = Replicates({"all": slice(0, 3)}, g, np.zeros(3))
    for chunk in x:
        kept.add(chunk)
    found, y = kept.block("all"), x.reshape(-1, 3).numpy() - g
    assert found.against is not None
    np.testing.assert_allclose(found.against.squared, (y**2).sum(1), rtol=1e-4)
    np.testing.assert_allclose(found.moments.variance, y.var(0, ddof=1), rtol=1e-4)


def test_equal_estimates_have_no_variance():
    kept = Replicates({"all": slice(0, 2)}, np.ones(2), np.zeros(2))
    for _ in range(3):
        kept.add(torch.tensor([[0.1, 1 / 3]], dtype=torch.float64).expand(192, 2))
    found = kept.block("all")
    assert found.moments.variance.max() < 1e-31
    assert found.distances.max() < 1e-30


def test_rows_left_out_of_a_chunk_of_runs_can_share_a_batch():
    left_out = torch.zeros(128, dtype=torch.bool)
    left_out[20:100] = True
    batch, sums = Batching.of(0, 128).without(left_out), torch.zeros(BATCHES, 1, dtype=torch.float64)
    total = batch.add_rows(sums, torch.ones(48, 1, dtype=torch.float64))
    assert total.item() == 48
    assert sums[:10, 0].tolist() == [2.0] * 10
    assert batch.counts()[50:].tolist() == [2.0] * 14
