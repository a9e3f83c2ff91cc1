"""Rows that come back are found, whatever lies between; rows that are equal by chance are not."""

import re

import numpy as np
import pytest

from bench.statistics.repeats import repeated_rows, row_prints


def rows(kind: str, count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return {
        "normal": lambda: rng.standard_normal((count, 3)),
        "single precision": lambda: rng.standard_normal((count, 3), dtype=np.float32).astype(float),
        "bits": lambda: (rng.random((count, 2)) < 0.3).astype(float),
        "one rare event": lambda: (rng.random((count, 1)) < 0.001).astype(float),
        "mostly zero": lambda: rng.standard_normal((count, 1)) * (rng.random((count, 1)) < 0.1),
        "signed zeros": lambda: np.where(rng.random((count, 2)) < 0.5, -0.0, rng.standard_normal((count, 2))),
    }[kind]()


KINDS = ("normal", "single precision", "bits", "one rare event", "mostly zero", "signed zeros")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [256, 5000, 100_000])
def test_independent_rows_do_not_repeat(kind, count):
    assert repeated_rows(row_prints(rows(kind, count))) is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_comes_back_is_found(kind):
    """Not at the start of a chunk, and after other rows."""
    size = 60_000 if kind == "one rare event" else 1000
    fresh, more = rows(kind, size, seed=1), rows(kind, 777, seed=2)
    said = repeated_rows(row_prints(np.concatenate([fresh, more, fresh[100:]])))
    place, before = map(int, re.findall(r"rows (\d+) to", said or ""))
    assert place - before == size + 677 and place <= size + 777  # rows before may agree by chance


def test_a_few_equal_rows_are_no_run():
    fresh = rows("normal", 1000)
    fresh[500:502] = fresh[10:12]
    assert repeated_rows(row_prints(fresh)) is None
    fresh[500:508] = fresh[10:18]
    assert "rows 500 to" in (repeated_rows(row_prints(fresh)) or "")


def test_constant_rows_are_no_repetition():
    assert repeated_rows(row_prints(np.ones((1000, 2)))) is None
    assert repeated_rows(row_prints(np.ones((1, 2)))) is None


def test_hashes_tell_columns_and_signs_apart():
    """Swapped columns, a swapped sign and a changed last bit are other rows."""
    own = np.array([[1.0, 2.0], [2.0, 1.0], [-1.0, 2.0], [np.nextafter(1.0, 2.0), 2.0], [1.0, 2.0]])
    prints = row_prints(own)
    assert len(set(prints.tolist())) == 4 and prints[0] == prints[4]
