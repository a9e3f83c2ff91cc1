"""Chunk seeds."""

import pytest
import torch

from bench.provenance import seeds
from bench.provenance.seeds import check_collisions, chunk_seed, first_collision
from estimators.errors import BadInput


def test_a_seed_depends_on_suite_cell_and_chunk_and_on_nothing_else():
    each = {chunk_seed(s, c, k) for s in (0, 1) for c in ("a", "b") for k in (0, 1, "fit")}
    assert len(each) == 12
    assert chunk_seed(0, "a", 0) == chunk_seed(0, "a", 0)


def test_seeds_fit_the_generator():
    assert all(0 <= chunk_seed(0, "cell", k) < 2**32 for k in range(1000))
    assert torch.manual_seed(chunk_seed(0, "cell", 0)).initial_seed() < 2**32


def test_collisions_are_found(monkeypatch):
    cells = [(f"cell{i}", "problem") for i in range(100)]
    assert first_collision(0, cells) is None
    check_collisions(0, cells)
    monkeypatch.setattr(seeds, "SEED_BITS", 8)
    assert first_collision(0, cells) is not None
    with pytest.raises(BadInput, match="would draw the same random numbers"):
        check_collisions(0, cells)


def test_cells_of_different_problems_are_not_compared_and_may_meet(monkeypatch):
    monkeypatch.setattr(seeds, "SEED_BITS", 8)
    check_collisions(0, [(f"cell{i}", f"problem{i}") for i in range(1000)])
