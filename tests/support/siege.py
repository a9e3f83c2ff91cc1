"""A sweep under siege: signals to the run and to its workers, at moments spread over the whole of it."""

import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from typing import Any

import psutil
import torch

from bench.isolation import process
from bench.sweeps.cell_record import measure_cell
from bench.tables.columns import SCHEMA
from bench.tables.records import files, read_records
from tests.support.sweeps import HANG, TOML, gradest, small_cells

FORK = multiprocessing.get_context("fork")
CHEAP = process.SPAWN if torch.accelerator.is_available() else FORK
"""Where torch has an accelerator, a process that has computed a derivative cannot be forked."""
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSTOP)


class Siege:
    """Sends signals to a sweep of two workers until it has finished, and starts it again whenever it has ended.

    The n-th signal comes a random moment after a record: records are done evenly from the first to the last signal, so
    signals are spread over the whole run. `hits` counts signals by tenth of the run, by target and signal.

    Args:
        folder: An empty folder.
        cells: Number of cells of the sweep; even.
        seed: Of the moments.
    """

    def __init__(self, folder, cells, seed):
        (folder / "small.toml").write_text(TOML.replace("[2, 4]", str(list(range(2, 2 + cells // 2)))))
        self.folder, self.cells, self.chance = folder, cells, random.Random(seed)
        self.results = folder / "results" / "small"
        self.hits, self.starts = Counter(), 0
        self.run: Any = None
        if CHEAP is FORK:
            measure_cell(small_cells()[0], "accuracy")

    def lay(self, signals):
        """Sends so many signals, and lets the sweep finish."""
        kinds = [(target, number) for target in ("run", "worker") for number in SIGNALS]
        for index in range(signals):
            self.reach((index + self.chance.random()) / signals * self.cells)
            self.hit(*kinds[index % len(kinds)])
        self.reach(self.cells)
        self.run.join(HANG)
        assert self.run.exitcode == 0

    def reach(self, records):
        """Waits for so many records, and a random moment longer; starts the sweep where it is not running."""
        while (done := self.written()) < records or self.run is None:
            if self.run is None or not self.run.is_alive():
                assert done < self.cells, "the sweep has ended before its last signal"
                self.run = FORK.Process(target=self.sweep)
                self.run.start()
                self.starts += 1
            time.sleep(0.002)
        if records < self.cells:
            time.sleep(self.chance.uniform(0, 0.05))

    def hit(self, target, number):
        """Sends a signal to the run or to one of its workers; whoever is stopped goes on after a moment."""
        workers = psutil.Process(self.run.pid).children() if self.run.is_alive() else []
        hit = [psutil.Process(self.run.pid)] if target == "run" and self.run.is_alive() else workers
        if not hit:
            return
        self.hits[int(10 * self.written() / self.cells)] += 1
        self.hits[target, signal.Signals(number).name] += 1
        pid = self.chance.choice(hit).pid
        with suppress(ProcessLookupError):  # it ended by itself meanwhile
            os.kill(pid, number)
            if number == signal.SIGSTOP:
                time.sleep(self.chance.uniform(0, 0.1))
                os.kill(pid, signal.SIGCONT)
        if number == signal.SIGSTOP:
            return
        if target == "run":
            self.run.join(HANG)
            _, alive = psutil.wait_procs(workers, timeout=HANG)
            assert not alive, "workers outlive the run"

    def sweep(self):
        process.SPAWN = CHEAP  # in this process only
        signal.signal(signal.SIGINT, signal.default_int_handler)
        found = gradest("run", "small.toml", "--jobs", "2", folder=self.folder)
        os._exit(found.returncode)

    def written(self):
        """The number of finished lines."""
        return sum(path.read_bytes().count(b"\n") for path in files(self.results))

    def times(self):
        """How often each cell was recorded."""
        return Counter(line["cell"] for line in read_records(self.results, SCHEMA).lines)
