"""Killed, continued, sharded, on more workers: the same table."""

import multiprocessing
import random
import resource
import signal
import sys
import time
from collections import Counter

import pandas as pd
import psutil
import pytest
import torch

from bench.isolation import process
from bench.sweeps.cell_record import measure_cell
from bench.sweeps.run import run
from bench.sweeps.shards import collect
from bench.sweeps.status import status
from bench.tables.columns import SCHEMA
from bench.tables.folder import load
from bench.tables.records import read_records
from estimators.errors import BadInput
from tests.support.sweeps import HANG, TOML, gradest, small_cells, suite

FORK, SPAWN = multiprocessing.get_context("fork"), process.SPAWN
CHEAP = SPAWN if torch.accelerator.is_available() else FORK
"""Where torch has an accelerator, a process that has computed a derivative cannot be forked."""
ASIDE = ["run", "created", "wall_s", "attempt"]
SAMPLES = list(range(2, 8))


def statistics(folder):
    return load(folder).drop(columns=ASIDE)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, forked_workers):
    """The sweep on one worker, uninterrupted."""
    folder = tmp_path_factory.mktemp("whole")
    run(suite(samples=SAMPLES), folder, jobs=1)
    return statistics(folder)


class Killer:
    """Runs the sweep as a process and kills it at a random moment, again and again; `moments` counts where it was.

    The process is forked, so that it need not import torch again. Its workers are spawned, as always, or forked, too,
    from a process that has measured a cell: then the first record comes within a second, and not within ten.
    """

    def __init__(self, folder, samples, seed, workers):
        (folder / "small.toml").write_text(TOML.replace("[2, 4]", str(samples)))
        self.folder, self.chance, self.moments = folder, random.Random(seed), Counter()
        self.records = folder / "results/small/records-0.jsonl"
        self.lines = self.end = 0
        self.workers, self.starting = workers, 6 if workers is SPAWN else 1
        if workers is FORK:
            measure_cell(small_cells()[0], "accuracy")

    def kill(self):
        """Anywhere between starting and the third record; or within milliseconds of a record's end, when lines are
        written: a run gets on by few records, so that a sweep outlasts many kills."""
        before, start = self.written(), time.monotonic()
        process = FORK.Process(target=self.run)
        process.start()
        if self.chance.random() < 0.3:
            anywhere = start + self.chance.uniform(0, self.starting)
            self.watch(process, lambda: time.monotonic() > anywhere or self.written() >= before + 3)
        else:
            more = before + self.chance.randint(1, 2)
            self.watch(process, lambda: self.written() >= more)
            time.sleep(self.chance.uniform(0, 0.02))
        workers = psutil.Process(process.pid).children() if process.is_alive() else []
        process.kill()
        process.join()
        ended = process.exitcode != -signal.SIGKILL
        after = self.written()
        self.moments["at the end" if ended else "between records" if after > before else "before a record"] += 1
        self.moments["in the middle of a line"] += self.torn()
        _, alive = psutil.wait_procs(workers, timeout=HANG)
        assert not alive, "workers outlive the run"

    def run(self):
        process.SPAWN = self.workers  # in this process only, which is about to be killed
        gradest("run", "small.toml", "--jobs", "1", folder=self.folder)

    def watch(self, process, reached):
        while process.is_alive() and not reached():
            time.sleep(0.001)

    def written(self):
        """The finished lines; those that were counted before are not read again."""
        if self.records.exists():
            with self.records.open("rb") as file:
                file.seek(self.end)
                new = file.read()
            self.lines += new.count(b"\n")
            self.end += new.rfind(b"\n") + 1
        return self.lines

    def torn(self):
        return self.records.exists() and not self.records.read_bytes().endswith(b"\n")


@pytest.mark.parametrize(
    ("kills", "samples", "workers"),
    [
        (5, SAMPLES, CHEAP),
        pytest.param(5, SAMPLES, SPAWN, marks=pytest.mark.slow),
        pytest.param(200, list(range(2, 602)), CHEAP, marks=pytest.mark.slow),
    ],
)
def test_killed_at_any_moment_nothing_is_lost_and_nothing_twice(tmp_path, whole, kills, samples, workers):
    killer = Killer(tmp_path, samples, kills, workers)
    for _ in range(kills):
        killer.kill()
    found = gradest("run", "small.toml", "--jobs", "1", folder=tmp_path)
    print(f"{kills} kills: {dict(killer.moments)}; then: {found.stdout}")
    folder = tmp_path / "results/small"
    if samples != SAMPLES:
        assert "at the end" not in killer.moments, "the sweep was too short: it was not killed so often"
        run(suite(samples=samples), tmp_path / "whole", jobs=1)
        whole = statistics(tmp_path / "whole")
    pd.testing.assert_frame_equal(statistics(folder), whole)
    times = Counter((line["cell"], line["task"]) for line in read_records(folder, SCHEMA).lines)
    assert set(times.values()) == {1} and len(times) == 2 * len(samples)


@pytest.mark.slow  # two workers and the order of their cells: tests/bench/sweeps/test_run.py
@pytest.mark.usefixtures("forked_workers")
def test_more_workers_and_another_order_give_the_same_numbers(tmp_path, whole):
    run(suite(samples=SAMPLES[::-1], estimators=["reinforce", "rloo"]), tmp_path, jobs=4)
    order = ["cell", "metric", "block"]
    found = statistics(tmp_path).sort_values(order, ignore_index=True)
    pd.testing.assert_frame_equal(found, whole.sort_values(order, ignore_index=True))


def out_of_space(folder):
    """The command, where no file may grow beyond 10 kB; ends with its exit code."""
    process.SPAWN = CHEAP  # in this process only, which ends
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    found = gradest("run", "small.toml", "--jobs", "1", folder=folder)
    assert "No space left on device; earlier results are saved" in found.stderr
    sys.exit(found.returncode)


def test_a_full_disk_an_older_version_and_another_suite_leave_what_was_measured(tmp_path, whole):
    (tmp_path / "small.toml").write_text(TOML)
    command = FORK.Process(target=out_of_space, args=(tmp_path,))
    command.start()
    command.join()
    assert command.exitcode == 2
    folder = tmp_path / "results/small"
    saved = read_records(folder, SCHEMA).lines
    assert saved and folder.joinpath("records-0.jsonl").read_bytes().endswith(b"\n")
    folder.joinpath("records-1.jsonl").write_text('{"schema": 0, "cell": "old"}\n')
    found = run(suite(samples=SAMPLES), folder, jobs=1)
    assert found.counts == {"ok": len(whole["cell"].unique()) - len(saved)}
    assert any("1 records of another version of gradest are not shown" in note for note in found.notes)
    pd.testing.assert_frame_equal(statistics(folder), whole)


@pytest.mark.usefixtures("forked_workers")
def test_shards_together_are_the_whole(tmp_path, whole):
    for shard in ("1/2", "2/2"):
        run(suite(samples=SAMPLES), tmp_path / shard[0], jobs=1, shard=shard)
        standing = status(tmp_path / shard[0])
        assert standing.left == 0 and standing.seconds_left == 0 and 0 < standing.counts["ok"] < 2 * len(SAMPLES)
    for _ in range(2):  # a second time changes nothing
        collect([tmp_path / "1", tmp_path / "2"], tmp_path / "all")
        pd.testing.assert_frame_equal(statistics(tmp_path / "all"), whole)
    assert len(read_records(tmp_path / "all", SCHEMA).lines) == 2 * len(SAMPLES)


def test_shards_that_are_none(tmp_path):
    for shard in ("0/2", "3/2", "1", "a/b", "1/0"):
        with pytest.raises(BadInput, match="is not understood; write 1/4"):
            run(suite(), tmp_path / "out", shard=shard)
    with pytest.raises(BadInput, match=r"holds no run of gradest: it has no plan\.json"):
        collect([tmp_path], tmp_path / "out")
