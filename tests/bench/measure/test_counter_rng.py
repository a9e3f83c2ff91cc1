"""Numbers from a counter: SplitMix64's, uniform, normal, independent, and seeded by torch's generator."""

import numpy as np
import pytest
import torch
from scipy import stats

from bench.measure.execution.counter_rng import Counted, splitmix64

DTYPES = [torch.float32, torch.float64]
N = 2**20 + 1


def drawn(draw, dtype, shape=(N,), seed=0):
    torch.manual_seed(seed)
    with Counted():
        return draw(shape, dtype=dtype)


def test_the_sequence_is_splitmix64s():
    """Of state 1234567, by the integers of Python."""
    state, expected = 1234567, []
    for _ in range(100):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        expected.append(z ^ z >> 31)
    assert expected[:3] == [6457827717110365317, 3203168211198807973, 9817491932198370423]  # as published
    inverse = pow(0x9E3779B97F4A7C15, -1, 2**64)  # the index of that state
    index = 1234567 * inverse % 2**64
    found = splitmix64(torch.tensor(index - 2**64 if index >= 2**63 else index), 100)
    assert [z % 2**64 for z in found.tolist()] == expected


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("draw", "law"), [(torch.rand, "uniform"), (torch.randn, "norm")])
def test_follows_its_law(draw, law, dtype):
    x = drawn(draw, dtype).double().numpy()
    assert stats.kstest(x, law).pvalue > 1e-6
    assert np.isfinite(x).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_uniforms_fill_the_half_open_interval(dtype):
    u = drawn(torch.rand, dtype)
    assert 0 <= u.min() < 1e-5 and 1 - 1e-5 < u.max() < 1
    steps = u.double() * 2.0 ** (24 if dtype == torch.float32 else 53)
    assert torch.equal(steps, steps.round())
    assert 0.49 < (steps % 2).mean() < 0.51  # also the last bit


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("draw", [torch.rand, torch.randn])
def test_numbers_are_independent_of_their_neighbours_and_partners(draw, dtype):
    """Correlations of the numbers and of their squares, at the lags that the construction has: 1, 2 and one half."""
    x = drawn(draw, dtype).double().numpy()[:-1]
    for lag in (1, 2, len(x) // 2):
        for left, right in ((x, x), (x**2, x**2), (x, x**2)):
            z = np.corrcoef(left[:-lag], right[lag:])[0, 1] * (len(x) - lag) ** 0.5
            assert abs(z) < 5.5


def test_a_seed_decides_and_each_draw_is_another():
    torch.manual_seed(1)
    with Counted():
        first, second = torch.rand(3, 5), torch.rand(3, 5)
    assert torch.equal(first, drawn(torch.rand, None, (3, 5), seed=1)) and not torch.equal(first, second)
    assert not torch.equal(first, drawn(torch.rand, None, (3, 5), seed=2))


def test_what_it_does_not_know_is_torchs():
    own = torch.Generator()
    for draw in (
        lambda: torch.rand(4, generator=own.manual_seed(0)),
        lambda: torch.rand(4, dtype=torch.float16),
        lambda: torch.empty(4).exponential_(),
        lambda: torch.rand(4, out=torch.empty(4)),
    ):
        torch.manual_seed(0)
        expected = draw()
        torch.manual_seed(0)
        with Counted():
            found = draw()
        assert torch.equal(found, expected)
    with Counted():
        assert torch.rand(4, device="meta").is_meta
