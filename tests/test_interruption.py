"""Killed, continued, sharded, on more workers: the same table."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from bench.columns import SCHEMA
from bench.engine import run
from bench.records import read
from bench.shards import collect
from bench.store import load
from estimators.errors import BadInput
from tests.sweeps import TOML, gradest, suite

ROOT = Path(__file__).parent.parent
ASIDE = ["run", "created", "wall_s", "attempt"]
SAMPLES = list(range(2, 8))


def statistics(folder):
    return load(folder).drop(columns=ASIDE)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The sweep on one worker, uninterrupted."""
    folder = tmp_path_factory.mktemp("whole")
    run(suite(samples=SAMPLES), folder, jobs=1)
    return statistics(folder)


def killed(folder, moments, seed):
    """Runs the sweep as a process and kills it, again and again."""
    (folder / "small.toml").write_text(TOML.replace("[2, 4]", str(SAMPLES)))
    chance = random.Random(seed)
    command = [sys.executable, "-c", "from bench.cli import main; main()", "run", "small.toml", "--jobs", "1"]
    for _ in range(moments):
        process = subprocess.Popen(command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)
        records = folder / "results/small/records-0.jsonl"
        before = records.stat().st_size if records.exists() else 0
        while process.poll() is None and not (records.exists() and records.stat().st_size > before):
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("moments", [5, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_at_any_moment_nothing_is_lost_and_nothing_twice(tmp_path, whole, moments):
    killed(tmp_path, moments, seed=moments)
    gradest("run", "small.toml", "--jobs", "1", folder=tmp_path)
    folder = tmp_path / "results/small"
    pd.testing.assert_frame_equal(statistics(folder), whole)
    times = Counter((line["cell"], line["task"]) for line in read(folder, SCHEMA).lines)
    assert set(times.values()) == {1} and len(times) == 2 * len(SAMPLES)


def test_more_workers_and_another_order_give_the_same_numbers(tmp_path, whole):
    run(suite(samples=SAMPLES[::-1], estimators=["reinforce", "rloo"]), tmp_path, jobs=4)
    order = ["cell", "metric", "block"]
    found = statistics(tmp_path).sort_values(order, ignore_index=True)
    pd.testing.assert_frame_equal(found, whole.sort_values(order, ignore_index=True))


def test_shards_together_are_the_whole(tmp_path, whole):
    for shard in ("1/2", "2/2"):
        run(suite(samples=SAMPLES), tmp_path / shard[0], jobs=1, shard=shard)
    for _ in range(2):  # a second time changes nothing
        collect([tmp_path / "1", tmp_path / "2"], tmp_path / "all")
        pd.testing.assert_frame_equal(statistics(tmp_path / "all"), whole)
    assert len(read(tmp_path / "all", SCHEMA).lines) == 2 * len(SAMPLES)


def test_shards_that_are_none(tmp_path):
    for shard in ("0/2", "3/2", "1", "a/b", "1/0"):
        with pytest.raises(BadInput, match="is not understood; write 1/4"):
            run(suite(), tmp_path / "out", shard=shard)
    with pytest.raises(BadInput, match=r"one has no plan\.json"):
        collect([tmp_path], tmp_path / "out")
