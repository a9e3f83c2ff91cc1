"""Worker processes on this machine: on a CPU side by side, on accelerators one per device."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import torch

from bench.provenance.machine import machine_environment
from bench.suites.cell import Cell
from bench.suites.suite import Group
from bench.sweeps.engines.base import CellResult, Engine, Options, in_windows
from bench.sweeps.engines.isolated import Isolated, Window, wait_for_workers
from bench.sweeps.worker import Setup


class Local(Engine):
    """Accuracy tasks run side by side in `jobs` processes; timed tasks run alone, in windows. Workers are reused."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.workers: list[Isolated] = []

    def width(self) -> int:
        """The number of workers on a CPU."""
        return self.options.jobs

    def measure(self, cells: Sequence[Cell], task: Group) -> Iterator[list[CellResult]]:
        """Cells of one device after those of another, so that what is timed is alone."""
        for device, group in groupby(sorted(cells, key=lambda cell: cell.device), lambda cell: cell.device):
            waiting = deque(in_windows(list(group), task))
            self._ready_workers(device, task, len(waiting))
            yield from self._side_by_side(waiting, task)

    def close(self) -> None:
        """Ends all workers."""
        while self.workers:
            self.workers.pop().close()

    def _side_by_side(self, waiting: deque[Window], task: Group) -> Iterator[list[CellResult]]:
        while waiting or any(worker.work for worker in self.workers):
            found: list[CellResult] = []
            for worker in self.workers:
                if answer := worker.take():
                    found += [CellResult(cell, record, machine_environment()) for cell, record in answer.records]
                    waiting.extendleft(reversed(answer.again))
                if worker.idle and waiting:  # before the record is written, so that no worker waits for the disk
                    worker.give(waiting.popleft(), task)
            if found:
                yield found
            else:
                wait_for_workers(self.workers)

    def _ready_workers(self, device: str, task: Group, cells: int) -> None:
        """As many workers as a device's cells want; those that are there already are kept where they fit."""
        wanted, limit = self._setups(device, cells, task), self.options.limit
        fitting = [worker.setup for worker in self.workers[: len(wanted)]] == wanted
        for worker in self.workers[len(wanted) if fitting else 0 :]:
            worker.close()
        self.workers = self.workers[: len(wanted)] if fitting else [Isolated(each, limit) for each in wanted]

    def _setups(self, device: str, cells: int, task: Group) -> list[Setup]:
        """One per worker. No limit of memory on an accelerator, whose driver maps more than there is."""
        wanted, setup = torch.device(device), self.options.setup
        if wanted.type == "cpu":
            workers = max(1, min(self.options.jobs, cells))
            own = replace(setup, memory=setup.memory or _share(workers))
            return [own] * (workers if task == "accuracy" else 1)
        devices = range(torch.accelerator.device_count()) if wanted.index is None else [wanted.index]
        return [replace(setup, accelerator=index, memory=None) for index in devices]


def _share(workers: int) -> int:
    """What one of so many workers may allocate where nothing is said: its share of four fifths of the memory."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(0.8 * machine / workers)
