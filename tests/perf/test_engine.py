"""What a sweep costs on top of its cells' own work: planning, handing out, writing, loading; and its memory.

Processor time, which other work on the machine does not lengthen, of the process that plans, writes and loads.
`pytest tests/perf/test_engine.py -m slow -s` prints the numbers.
"""

import os
import signal
import time
from contextlib import contextmanager

import numpy as np
import pandas as pd
import psutil
import pytest
import torch

import estimators
from bench.provenance.identity import canonical
from bench.suites.grid import suite_cells
from bench.sweeps.planning import planned_work
from bench.sweeps.run import run
from bench.tables.columns import SCHEMA
from bench.tables.folder import Store, load
from bench.tables.records import Records, read_records
from estimators import Function, unmet
from tests.support.sweeps import HANG, finished, long_run, small_cells, suite

pytestmark = pytest.mark.slow
MANY = 100_000
METRICS = dict.fromkeys(("bias", "relative_bias", "scale", "cosine", "variance", "variance_max", "mse", "snr"), 1.25)


@contextmanager
def seconds(what, limit):
    """Prints the processor time, and fails where it is over the limit."""
    start = time.process_time()
    yield
    taken = time.process_time() - start
    print(f"{what}: {taken:.2f} s")
    assert taken < limit


def test_planning():
    temperature = [0.1 + 0.05 * index for index in range(18)]
    many = suite(
        samples=list(range(2, 252)),
        estimators=["rloo", "reinforce", {"name": "gumbel_softmax", "temperature": temperature}],
        problems=[
            {
                "distribution": {"name": "bernoulli", "size": [1, 2, 3, 4, 5]},
                "objective": {"name": "quadratic_bits", "t": [0.1, 0.2, 0.3, 0.45]},
            }
        ],
    )
    with seconds(f"planning {MANY} cells", 5):
        every = suite_cells(many)
        planned = planned_work(many, every, every, Records([], []))
    assert len(planned.work) == MANY


def test_loading(tmp_path):
    record = finished(small_cells()[0], **METRICS) | {"env": "here"}
    names = [f"{index:016x}" for index in range(MANY)]
    (tmp_path / "records-0.jsonl").write_text("".join(canonical(record | {"cell": name}) + "\n" for name in names))
    with Store(tmp_path) as store:
        store.begin({}, {name: ["accuracy"] for name in names})
        store.finish()
    with seconds(f"loading {MANY} cells", 5):
        table = load(tmp_path)
    (tmp_path / "results.parquet").unlink()
    with seconds(f"loading {MANY} cells from records alone", 5):
        from_records = load(tmp_path)
    assert table["cell"].nunique() == MANY  # pyright: ignore[reportGeneralTypeIssues]
    pd.testing.assert_frame_equal(from_records, table)


def test_ctrl_c_ends_a_run_at_once(tmp_path):
    """Under 2 s where nothing else runs; 5 s by the clock on the wall."""
    with long_run(tmp_path) as run:
        start = time.monotonic()
        os.killpg(run.pid, signal.SIGINT)
        run.communicate(timeout=HANG)
        taken = time.monotonic() - start
    print(f"from Ctrl-C to the end: {taken:.2f} s")
    assert run.returncode == 130 and taken < 5


def test_a_probe_of_a_class_that_nobody_knows_is_brief():
    class Own(torch.distributions.Normal):
        """Has its own code, so that what it offers is measured."""

        def log_prob(self, value):
            return super().log_prob(value)

    loc = torch.zeros(40, 50, dtype=torch.float64)
    with seconds("a probe", 1):
        unmet(estimators.get("rloo"), Own(loc, torch.ones_like(loc)), Function(lambda z: z.sum(-1)), 4)


def test_overhead_and_memory(tmp_path):
    """Cells of some milliseconds on one worker: what the parent spends on each, and what both hold."""
    many = suite(
        samples=list(range(2, 802)), estimators=["rloo"], accuracy={"min_replicates": 64, "max_replicates": 64}
    )
    parent, seen = psutil.Process(), []

    def show(progress):
        workers = [each for each in parent.children() if "spawn_main" in " ".join(each.cmdline())]
        held = np.array([each.memory_info().rss / 2**20 for each in (parent, *workers)])
        seen.append((progress.done, time.process_time(), time.monotonic(), held))

    run(many, tmp_path, jobs=1, show=show)
    own = [line["wall_s"] for line in read_records(tmp_path, SCHEMA).lines]
    first = next(index for index, each in enumerate(seen) if each[0] >= 200)
    (done, spent, began, held), (total, spent_all, ended, held_all) = seen[first], seen[-2]
    count = total - done
    wall = (ended - began - sum(own[done:total])) / count
    print(f"per cell: {1e3 * (spent_all - spent) / count:.2f} ms of the parent, {1e3 * wall:.2f} ms between cells")
    print(f"MiB of parent and worker after {done} cells {held.round(1)}, after {total} {held_all.round(1)}")
    assert (spent_all - spent) / count < 0.005
    assert len(held) == len(held_all) == 2 and max(held_all - held) < 8
