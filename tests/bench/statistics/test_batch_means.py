"""Batch means in tiles are those that numpy computes from the whole array."""

import numpy as np
import pytest

from bench.statistics.batch_means import BatchMeans

RNG = np.random.default_rng(0)
EVERY = np.ones(11, bool)


@pytest.fixture(autouse=True)
def narrow_tiles(monkeypatch):
    monkeypatch.setattr("bench.statistics.batch_means.TILE", 4)


def means_and_array(rank=None):
    counts = RNG.integers(1, 9, 6).astype(float)
    array = RNG.standard_normal((6, rank or 11)) @ RNG.standard_normal((rank or 11, 11))
    return BatchMeans(array * counts[:, None], counts), array


def test_products_gram_and_spread():
    means, array = means_and_array()
    u, vectors = RNG.standard_normal(11), RNG.standard_normal((11, 2))
    u /= np.linalg.norm(u)
    across = array - (array @ u)[:, None] * u
    np.testing.assert_allclose(np.asarray(means), array)
    np.testing.assert_allclose(means @ vectors, array @ vectors)
    np.testing.assert_allclose(means.products(vectors, without=u), across @ vectors, atol=1e-13)
    for found, parts in ((means.gram(), array), (means.gram(u), across)):
        centred = parts - parts.mean(0)
        np.testing.assert_allclose(found, centred @ centred.T, atol=1e-12)
    np.testing.assert_allclose(means.spread(u), across.std(0, ddof=1))


@pytest.mark.parametrize("smallest", [1.0, 1e-9])
@pytest.mark.parametrize("rank", [2, 5])
def test_the_spectrum_is_the_decomposition_of_the_centred_means(rank, smallest):
    """Also where the Gram matrix has no digits of the smallest value left."""
    counts, kept = np.ones(6), np.arange(11) != 3
    left, right = (np.linalg.qr(RNG.standard_normal(shape))[0] for shape in ((6, 6), (11, 11)))
    left[:, 0] = 1  # the common mean, which is taken away
    left = np.linalg.qr(left)[0]
    sizes = np.geomspace(1.0, smallest, rank)
    array = (left[:, 1 : rank + 1] * sizes) @ right[:, :rank].T + 5.0
    means = BatchMeans(array, counts)
    centred = array[:, kept] - array[:, kept].mean(0)
    exact = np.linalg.svd(centred, full_matrices=False)
    found, values = means.spectrum(kept)
    assert len(values) == 5
    np.testing.assert_allclose(values[:rank], exact.S[:rank], rtol=1e-5)
    assert (values[rank:] < 1e-12).all()
    rows = means.directions(kept, found[:, :rank], values[:rank])
    np.testing.assert_allclose(rows @ rows.T, np.eye(rank), atol=1e-13)
    np.testing.assert_allclose(rows.T @ rows, exact.Vh[:rank].T @ exact.Vh[:rank], atol=1e-5)
