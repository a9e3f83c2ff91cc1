"""Streams that end by the clock, and the sizes of chunks. Clocks are made up: nothing is timed."""

import numpy as np
import pytest
import torch

from bench.audits.sources import CalledSource, Source
from bench.audits.streams import AuditPlan, chunk_size, measured_difference, measured_stream, usable
from bench.audits.watched import WatchedReplicates
from bench.measure.accuracy.stopping import AccuracySettings, Sampling
from bench.statistics.stream import Replicates
from estimators.errors import BadInput

PLAN = AuditPlan(resolution=0.02, rarest=3e-6, replicates=1_000_000, seconds=60.0)


class Ending(Source):
    """Normal rows with the mean 1, until so many chunks were given."""

    def __init__(self, chunks: int, count: int = 1024, seed: int = 0) -> None:
        self.name, self.dim, self.single, self.count = "the clock", 2, False, count
        self.chunks, self.seed = chunks, seed

    def chunk(self, index: int, deadline: float) -> torch.Tensor | None:
        rng = np.random.default_rng([self.seed, index])
        return torch.from_numpy(rng.standard_normal((self.count, 2)) + 1) if index < self.chunks else None


@pytest.mark.parametrize("chunks", [1, 2, 4, 5, 8])
def test_a_stream_that_runs_out_of_time_is_judged_by_what_is_there(chunks):
    found = measured_stream(Ending(chunks), np.ones(2), PLAN)
    assert found.ended.stop_reason == "time" and found.kept.drawn == 1024 * chunks
    assert found.ended.verdict.word == "unclear" and found.block.count == 1024 * chunks
    assert np.isfinite(found.block.variance()).all()


def test_a_stage_without_new_estimates_leaves_the_verdict_before():
    """After the first look, at 1024, there is nothing: its verdict is kept, and no empty stage is judged."""
    source, kept = Ending(1), Replicates({"all": slice(0, 2)}, np.ones(2), np.zeros(2))
    ended = Sampling(lambda index: source.chunk(index, 0.0), 1024, kept, AccuracySettings()).run()
    assert ended.stop_reason == "time" and ended.verdict.word == "unclear" and ended.verdict.p is not None


def test_a_bias_is_confirmed_by_a_stage_that_the_clock_cut():
    found = measured_stream(Ending(12), np.array([1.0, 0.9]), AuditPlan(0.02, 1e-3, 1_000_000, 60.0))
    assert found.kept.drawn == 12_288 and found.ended.verdict.word == "biased"


def test_a_difference_runs_out_of_time_too():
    first, second = Ending(6), Ending(5, seed=1)
    found = measured_difference(first, second, measured_stream(second, None, PLAN), PLAN)
    assert found.ended.stop_reason == "time" and found.kept.drawn == 4 * 1024  # the first chunk is held back


def test_nothing_at_all_is_a_sentence():
    with pytest.raises(BadInput, match="the clock: 0 estimates in 60 s, 256 are needed"):
        measured_stream(Ending(0), None, PLAN)


def sized(dim: int, rows: int | None, most: int = 1024) -> Source:
    source = Ending(0)
    source.dim, source.rows, source.most = dim, rows, most
    return source


@pytest.mark.parametrize(
    ("sources", "chunk"),
    [
        ([sized(3, None)], 1024),
        ([sized(3, None, most=8192)], 8192),
        ([sized(10**6, None)], 16),
        ([sized(10**4, None)], 128),
        ([sized(3, 256)], 16),
        ([sized(3, 10_000)], 128),
        ([sized(3, 10**6)], 4096),
        ([sized(3, None, most=8192), sized(3, 10_000)], 128),
    ],
)
def test_chunks_are_powers_of_two_by_size_alone(sources, chunk):
    assert chunk_size(sources, None) == chunk and chunk_size(sources, 512) == 512


def test_whole_chunks_of_an_array_are_used():
    assert usable(10_000, PLAN, 128, "a") == 9984 and usable(None, PLAN, 128, "a") is None
    with pytest.raises(BadInput, match="a has 300 rows, of which 0 can be used in chunks of 512; 256 are needed"):
        usable(300, PLAN, 512, "a")


def test_rows_are_drawn_once_where_they_fit_into_memory():
    calls = []

    def ask(seed, count, seconds):
        calls.append(seed)
        return np.random.default_rng(seed).standard_normal((count, 2))

    source = CalledSource("it", ask, 0, "draw", 1.0)
    source.count = 64
    first, again = (source.chunk(3, float("inf")) for _ in range(2))
    assert first is again and len(calls) == 2  # the other call asks for the shape


def test_a_fault_is_found_in_any_chunk():
    kept = WatchedReplicates(2, None)
    rows = np.random.default_rng(0).standard_normal((5, 64, 2))
    rows[3, 7, 1] = np.inf
    for chunk in rows:
        kept.add(torch.from_numpy(chunk))
    assert kept.fault() == "estimates that are not finite: 1 of 320; the first is row 199"
