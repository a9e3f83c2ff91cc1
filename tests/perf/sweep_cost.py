"""What a sweep costs around its draws, part by part, beside another checkout: processor seconds, in turn.

`python tests/perf/sweep_cost.py --beside /path/to/checkout` prints a line per part: this checkout, the other, the
ratio. Each part runs in a fresh process of each checkout, `--pairs` times, and the least seconds count.

- `plan`: planning the suite `core`, every cell and what is missing.
- `statistics`: verdict and rows of 131,072 made-up estimates of 5 parameters, and of 4,096 with 2,080.
- `cells`: every 40th accuracy cell of the suite `quick`, in one worker.
- `feed`: the parent's seconds for 1,280 cells that 64 workers sleep through, and the share of the time they slept.
- `report`: the report of results/reference with all its figures, children included.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[2]
WORKERS, EACH, NAP = 64, 20, 0.2


def plan() -> dict[str, float]:
    """Planning `core`."""
    from bench.suites.grid import suite_cells
    from bench.suites.suite import load_suite
    from bench.sweeps.planning import planned_work
    from bench.tables.records import Records

    suite = load_suite("core")
    began = time.process_time()
    every = suite_cells(suite)
    planned_work(suite, every, every, Records([], []))
    return {"cpu": time.process_time() - began}


def statistics() -> dict[str, float]:
    """Verdict and rows at two sizes."""
    import numpy as np
    import torch

    from bench.measure.accuracy.measurements import block_measurements
    from bench.statistics.stream import Replicates
    from bench.statistics.verdict import Rules, judge

    torch.set_num_threads(1)
    found = {}
    for dim, times, chunks in ((5, 5, 32), (2080, 3, 1)):
        kept = Replicates({"all": slice(0, dim)}, np.ones(dim), np.zeros(dim))
        draws = torch.Generator().manual_seed(0)
        for _ in range(chunks):
            kept.add(1 + torch.randn(4096, dim, generator=draws, dtype=torch.float64))
        began = time.process_time()
        for _ in range(times):
            block = kept.block("all")
            judge(block, Rules(0.05, 1e-5, 3, 1e-12), False)
            assert [*block_measurements(block, "all", 0.5, 1e-12)]
        found[f"cpu at P = {dim}"] = (time.process_time() - began) / times
    return found


def cells() -> dict[str, float]:
    """Accuracy cells of `quick`, by the hash of their id."""
    from bench.suites.grid import suite_cells
    from bench.suites.suite import load_suite
    from bench.sweeps.cell_record import measure_cell
    from bench.sweeps.worker import Setup, start_worker

    start_worker(Setup())
    chosen = [cell for cell in suite_cells(load_suite("quick")) if not cell.reason and int(cell.id, 16) % 40 == 0]
    began = time.process_time()
    for cell in chosen:
        assert measure_cell(cell, "accuracy")["status"] == "ok"
    return {"cpu": time.process_time() - began}


def asleep(setup: Any) -> Callable[[Any, Any], Any]:
    """Stands for the start of a worker whose cells take a nap."""
    from bench.sweeps.cell_record import ended, record
    from bench.sweeps.worker import WindowResult

    def nap(work: Any, say: Any) -> Any:
        time.sleep(NAP)
        return WindowResult([record(cell, work[1], ended("failed", "asleep"), NAP) for cell in work[0]])

    return nap


def feed() -> dict[str, float]:
    """The parent of 64 workers that sleep."""
    import multiprocessing
    from unittest.mock import patch

    from bench.suites.grid import suite_cells
    from bench.suites.suite import parse_suite
    from bench.sweeps.engines.base import Options
    from bench.sweeps.engines.local import Local
    from bench.sweeps.worker import Setup
    from bench.tables.folder import Store

    forking = multiprocessing.get_context("forkserver")
    forking.set_forkserver_preload(["bench.sweeps.worker"])
    grid = {
        "samples": [*range(2, 2 + WORKERS * EACH)],
        "estimators": ["rloo"],
        "problems": [{"distribution": {"name": "bernoulli", "size": 3}, "objective": "quadratic_bits"}],
    }
    every = suite_cells(parse_suite(grid, "here"))
    with (
        patch("bench.isolation.process.SPAWN", forking),
        patch("bench.sweeps.engines.isolated.start_worker", asleep),
        tempfile.TemporaryDirectory() as folder,
        Store(Path(folder)) as store,
    ):
        engine = Local(Options(Setup(memory=2**34), jobs=WORKERS))
        try:
            seen, marks = 0, []
            for found in engine.measure(every, "accuracy"):
                store.append({**each.record, "env": "here"} for each in found)
                seen += len(found)
                marks.append((seen, time.monotonic(), time.process_time()))
            middle = [mark for mark in marks if 0.4 * len(every) < mark[0] < 0.9 * len(every)]  # all workers have begun
            (first, began, spent), (last, ended, used) = middle[0], middle[-1]
            asleep_for = (last - first) * NAP / WORKERS / (ended - began)
            return {"cpu per cell": (used - spent) / (last - first), "share of the time asleep": asleep_for}
        finally:
            engine.close()


def report() -> dict[str, float]:
    """The report of the committed sweep."""
    import bench

    with tempfile.TemporaryDirectory() as folder:
        began, wall = time.process_time() + children(), time.monotonic()
        bench.report(HERE / "results/reference", Path(folder, "report.html"), jobs=2)
        return {"cpu": time.process_time() + children() - began, "wall": time.monotonic() - wall}


def children() -> float:
    """Processor seconds of ended children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


PARTS = {"plan": plan, "statistics": statistics, "cells": cells, "feed": feed, "report": report}


def measured(part: str, tree: Path) -> dict[str, float]:
    """Runs a part in a fresh process of a checkout."""
    environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--part", part]
    found = subprocess.run(command, env=environment, cwd=tree, capture_output=True, text=True, check=True)
    return {name: float(value) for name, value in (line.split("\t") for line in found.stdout.splitlines())}


def main() -> None:
    """Prints the table, or measures one part."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--beside", type=Path, help="another checkout")
    asked.add_argument("--parts", nargs="*", default=[*PARTS], choices=PARTS)
    asked.add_argument("--pairs", type=int, default=1)
    asked.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.part:
        for name, value in PARTS[given.part]().items():
            print(f"{name}\t{value}")
        return
    trees = [HERE, *([given.beside.resolve()] if given.beside else [])]
    for part in given.parts:
        runs = [[measured(part, tree) for tree in trees] for _ in range(given.pairs)]
        for name in runs[0][0]:
            least = [min(pair[index][name] for pair in runs) for index in range(len(trees))]
            ratio = f"  ratio {least[0] / least[1]:.2f}" if len(least) > 1 else ""
            print(f"{part}, {name}: " + "  ".join(f"{each:.3f}" for each in least) + ratio, flush=True)


if __name__ == "__main__":
    main()
