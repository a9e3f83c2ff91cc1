"""Measures cells in worker processes on this machine: in parallel on a CPU, one process per accelerator."""

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
from bench.system.optional import memory_of_machine


class Local(Engine):
    """Runs accuracy tasks in parallel in `jobs` processes, timed tasks in windows, one at a time. Reuses workers."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.workers: list[Isolated] = []

    def width(self) -> int:
        """The number of workers on a CPU."""
        return self.options.jobs

    def measure(self, cells: Sequence[Cell], task: Group) -> Iterator[list[CellResult]]:
        """Measures devices one after another, so that timed cells do not overlap."""
        for device, group in groupby(sorted(cells, key=lambda cell: cell.device), lambda cell: cell.device):
            waiting = deque(in_windows(list(group), task))
            self._ready_workers(device, task, len(waiting))
            yield from self._side_by_side(waiting, task)

    def close(self) -> None:
        """Ends all workers."""
        while self.workers:
            self.workers.pop().close()

    def _side_by_side(self, waiting: deque[Window], task: Group) -> Iterator[list[CellResult]]:
        """Asks only workers with news: with many workers, asking all of them each time takes longer than a cell."""
        asked = self.workers
        while waiting or any(worker.work for worker in self.workers):
            found: list[CellResult] = []
            for worker in asked:
                if answer := worker.take():
                    found += [CellResult(cell, record, machine_environment()) for cell, record in answer.records]
                    waiting.extendleft(reversed(answer.again))
                self._feed(worker, waiting, task)  # before records are written, so that no worker waits for the disk
            for worker in self.workers if waiting else ():  # those that had nothing to do when cells came back
                self._feed(worker, waiting, task)
            if found:
                yield found
            asked = wait_for_workers(self.workers)

    @staticmethod
    def _feed(worker: Isolated, waiting: deque[Window], task: Group) -> None:
        """Gives an idle worker the next window."""
        if waiting and worker.work is None and worker.idle:
            worker.give(waiting.popleft(), task)

    def _ready_workers(self, device: str, task: Group, cells: int) -> None:
        """Starts the workers for the cells of a device; keeps existing workers with the same settings."""
        wanted, limit = self._setups(device, cells, task), self.options.limit
        fitting = [worker.setup for worker in self.workers[: len(wanted)]] == wanted
        for worker in self.workers[len(wanted) if fitting else 0 :]:
            worker.close()
        self.workers = self.workers[: len(wanted)] if fitting else [Isolated(each, limit) for each in wanted]

    def _setups(self, device: str, cells: int, task: Group) -> list[Setup]:
        """The settings of each worker; no memory limit on accelerators, whose driver maps more than there is."""
        wanted, setup = torch.device(device), self.options.setup
        if wanted.type == "cpu":
            workers = max(1, min(self.options.jobs, cells))
            own = replace(setup, memory=setup.memory or _share(workers))
            return [own] * (workers if task == "accuracy" else 1)
        devices = range(torch.accelerator.device_count()) if wanted.index is None else [wanted.index]
        return [replace(setup, accelerator=index, memory=None) for index in devices]


def _share(workers: int) -> int | None:
    """The default memory limit of a worker in bytes: an equal share of four fifths of the machine's memory.

    None where the system does not say how much that is.
    """
    machine = memory_of_machine()
    return None if machine is None else int(0.8 * machine / workers)
