"""The Dask engine on a real cluster: a scheduler and workers as separate processes on this machine."""

import re
import subprocess
import sys
import threading
from contextlib import closing
from itertools import chain, repeat
from pathlib import Path

import pandas as pd
import psutil
import pytest

from bench.plugins.files import load_files
from bench.sweeps.engines import dask, elsewhere
from bench.sweeps.run import run
from bench.sweeps.status import status
from bench.tables.columns import SCHEMA
from bench.tables.folder import load
from bench.tables.records import read_records
from estimators.errors import BadInput
from tests.support.sweeps import HANG, suite

ROOT = Path(__file__).parents[3]
PLUGIN = '''
"""A slow estimator, so that a worker can be killed in the middle of a cell, and one that takes its process down."""
import os, time
from dataclasses import dataclass
from estimators import register
from estimators.score_function import Reinforce

@register("sleepy")
@dataclass(frozen=True)
class Sleepy(Reinforce):
    def coefficient(self, value):
        time.sleep(0.02)
        return value

@register("leaves")
@dataclass(frozen=True)
class Leaves(Reinforce):
    def coefficient(self, value):
        os._exit(0)
'''


SWEEP = {"samples": [2, 3, 4, 5, 6], "estimators": ["sleepy", "rloo"], "accuracy": {"max_replicates": 1024}}


LOST = "does not answer any more; finished cells are saved: run the same command again"


def listening(process):
    """The addresses that a process and its children listen on."""
    every = [process, *process.children(recursive=True)]
    return {link.laddr.ip for each in every for link in each.net_connections("tcp") if link.status == "LISTEN"}


class Cluster:
    """A scheduler and its workers, each a process with a folder of its own: nothing is shared but the address."""

    def __init__(self, folder):
        self.folder, self.workers = folder, []
        self.start(port="0")

    def start(self, port):
        self.scheduler = self._process("scheduler", "--port", port)
        self.address = self._said(self.scheduler, r"Scheduler at: +(tcp://127\.0\.0\.1:\d+)")

    def start_again(self):
        """The scheduler, where it was; its workers end when they lose it."""
        self.scheduler.wait(HANG)
        self.start(port=self.address.rpartition(":")[2])

    def join(self, *options):
        worker = self._process("worker", self.address, "--nthreads", "1", *options)
        self._said(worker, "(Registered to)")
        self.workers.append(worker)

    def close(self):
        for process in [*self.workers, self.scheduler]:
            process.terminate()
        for process in [*self.workers, self.scheduler]:
            process.wait(HANG)

    def _process(self, *command):
        folder = self.folder / f"machine{len(list(self.folder.iterdir()))}"
        folder.mkdir()
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *command, "--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"],
            cwd=folder,
            env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)},
            stderr=subprocess.PIPE,
            text=True,
        )

    @staticmethod
    def _said(process, pattern):
        for line in process.stderr:
            if found := re.search(pattern, line):
                threading.Thread(target=process.stderr.read, daemon=True).start()
                return found[1]
        raise AssertionError(f"it ended with {process.wait()} and did not say {pattern}")


@pytest.fixture
def cluster(tmp_path):
    (tmp_path / "cluster").mkdir()
    with closing(Cluster(tmp_path / "cluster")) as started:
        yield started


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    path = tmp_path_factory.mktemp("plugin") / "sleepy.py"
    path.write_text(PLUGIN)
    return str(path)


@pytest.fixture(scope="module")
def alone(tmp_path_factory, plugin, forked_workers):
    """The sweep on this machine, without Dask."""
    folder = tmp_path_factory.mktemp("alone")
    load_files([plugin])
    run(suite(**SWEEP), folder, jobs=1, plugin=plugin)
    return statistics(folder)


def statistics(folder):
    return load(folder).drop(columns=["run", "created", "wall_s", "attempt"])


@pytest.mark.slow  # a worker that is lost and one that joins late in this process: below
def test_workers_that_are_killed_restarted_by_their_nanny_and_joined_late(tmp_path, cluster, plugin, alone):
    cluster.join("--no-nanny")
    cluster.join()  # with a nanny, as is usual
    nanny = psutil.Process(cluster.workers[1].pid)

    def kill_worker_of_nanny():
        (worker,) = (each for each in nanny.children() if "spawn_main" in " ".join(each.cmdline()))
        worker.kill()

    events = iter([kill_worker_of_nanny, cluster.workers[0].kill, lambda: cluster.join("--no-nanny")])

    def show(progress):
        if progress.done >= 2 and (event := next(events, None)):
            event()

    folder = tmp_path / "out"
    found = run(suite(**SWEEP), folder, plugin=plugin, engine="dask", scheduler=cluster.address, show=show)
    assert found.counts == {"ok": 10} and found.left == 0 and not next(events, None)
    pd.testing.assert_frame_equal(statistics(folder), alone)
    assert len(read_records(folder, SCHEMA).lines) == 10
    log = (folder / "run.log").read_text()
    assert len(re.findall("worker .* joined", log)) == 4 and log.count("left; its cells go to others") >= 2
    for process in (*cluster.workers[1:], cluster.scheduler):
        assert listening(psutil.Process(process.pid)) == {"127.0.0.1"}


@pytest.mark.slow  # a scheduler that is lost in this process: below
@pytest.mark.parametrize("at_once", [True, False])
def test_a_scheduler_that_is_killed_and_started_again(tmp_path, cluster, plugin, alone, at_once):
    """The run ends with one sentence, what is done is on disk, and the same command does the rest.

    `at_once`: the run finds the new scheduler, which knows nothing of it.
    """
    cluster.join("--no-nanny")
    killed = []
    options = {"plugin": plugin, "engine": "dask", "scheduler": cluster.address}

    def show(progress):
        if progress.done >= 3 and cluster.scheduler.poll() is None and not killed:
            cluster.scheduler.kill()
            killed.append(cluster.scheduler)
            if at_once:
                cluster.start_again()
                cluster.join("--no-nanny")

    with pytest.raises(BadInput, match=LOST):
        run(suite(**SWEEP), tmp_path / "out", **options, show=show)
    left = status(tmp_path / "out").left
    assert 0 < left <= 7
    if not at_once:
        cluster.start_again()
        cluster.join("--no-nanny")
    found = run(suite(**SWEEP), tmp_path / "out", **options)
    assert found.counts == {"ok": left} and found.left == 0
    pd.testing.assert_frame_equal(statistics(tmp_path / "out"), alone)
    assert len(read_records(tmp_path / "out", SCHEMA).lines) == 10


@pytest.fixture
def here(monkeypatch):
    """What the engine starts in this process: its clusters (`_cluster_here`) and its clients (`_client`)."""
    started = {"_cluster_here": [], "_client": []}

    def noting(name, start):
        return lambda given: started[name].append(start(given)) or started[name][-1]

    for name in started:
        monkeypatch.setattr(dask, name, noting(name, getattr(dask, name)))
    return started


def test_a_worker_that_is_lost_and_one_that_joins_late(tmp_path, here, plugin, alone):
    def loses_one():
        (cluster,) = here["_cluster_here"]
        cluster.sync(next(iter(cluster.workers.values())).close)

    events = iter([lambda: here["_cluster_here"][0].scale(2), loses_one])

    def show(progress):
        if progress.done >= 2 and (event := next(events, None)):
            event()

    found = run(suite(**SWEEP), tmp_path, jobs=1, plugin=plugin, engine="dask", show=show)
    assert found.counts == {"ok": 10} and found.left == 0 and not next(events, None)
    pd.testing.assert_frame_equal(statistics(tmp_path), alone)


def test_a_scheduler_that_is_lost(tmp_path, here, plugin, alone):
    def show(progress):
        if progress.done >= 3:
            here["_client"][0]._timeout = 1  # seconds within which it looks for the scheduler again; 30 otherwise
            cluster = here["_cluster_here"][0]
            cluster.sync(cluster.scheduler.close)

    with pytest.raises(BadInput, match=LOST):
        run(suite(**SWEEP), tmp_path, jobs=1, plugin=plugin, engine="dask", show=show)
    left = status(tmp_path).left
    found = run(suite(**SWEEP), tmp_path, jobs=1, plugin=plugin, engine="dask")
    assert 0 < left <= 7 and found.counts == {"ok": left} and found.left == 0
    pd.testing.assert_frame_equal(statistics(tmp_path), alone)


def test_a_cluster_started_here(tmp_path, plugin, alone):
    """A cell that takes its process down is a row; the others are as without Dask."""
    changed = suite(**SWEEP | {"estimators": ["leaves", *SWEEP["estimators"]]})
    heard = set()
    found = run(
        changed,
        tmp_path,
        jobs=1,
        plugin=plugin,
        engine="dask",
        where="estimator != 'leaves' or samples == 2",
        show=lambda progress: heard.update(listening(psutil.Process())),
    )
    assert heard <= {"127.0.0.1"}
    assert found.counts == {"ok": 10, "crashed": 1} and "exit code 0" in found.failed[0]
    table = statistics(tmp_path)
    good = pd.DataFrame(table[table["status"] == "ok"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(good, alone)


def test_a_worker_with_another_gradest_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(elsewhere, "versions", chain([("a", "torch 1")], repeat(("b", "torch 2"))).__next__)
    with pytest.raises(BadInput, match=r"has another gradest or torch \(torch 2\) than this machine \(torch 1\)"):
        run(suite(), tmp_path / "out", jobs=1, engine="dask")


def test_no_cluster(tmp_path, monkeypatch):
    monkeypatch.setattr(dask, "WAIT", 0.2)
    with pytest.raises(BadInput, match="no Dask cluster with a worker answers at tcp://127"):
        run(suite(), tmp_path / "out", engine="dask", scheduler="tcp://127.0.0.1:9")
    with pytest.raises(BadInput, match="--engine 'dusk' is not known; did you mean 'dask'"):
        run(suite(), tmp_path / "out", engine="dusk")
