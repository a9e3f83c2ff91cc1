"""What runs inside a worker process: one thread, the user's plug-ins, one cell or one window at a time."""

import os
from dataclasses import dataclass

import torch

from bench.isolation.child import Action, Say
from bench.measure.execution.allocator import keep_freed_memory
from bench.plugins.files import load_files
from bench.suites.cell import Cell
from bench.suites.suite import Group
from bench.sweeps import windows
from bench.sweeps.cell_record import measure_cell
from bench.tables.records import Record


@dataclass(frozen=True)
class Setup:
    """What a worker is told before its first cell: plug-in files, bytes it may allocate, its accelerator."""

    plugins: tuple[str, ...] = ()
    memory: int | None = None
    accelerator: int | None = None


def start_worker(setup: Setup) -> Action:
    """Readies a fresh worker, which then answers cells and their task with their records.

    What torch imports at its first derivative is imported here, so that no cell's time limit pays for it.
    """
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    keep_freed_memory()
    torch.set_num_threads(1)
    if setup.accelerator is not None:
        torch.accelerator.set_device_index(setup.accelerator)
    _, pullback, *_ = torch.func.vjp(torch.square, torch.ones(2))
    torch.func.vmap(pullback)(torch.ones(1, 2))
    load_files(setup.plugins)
    return measure_task


def measure_task(work: tuple[tuple[Cell, ...], Group], say: Say) -> list[Record]:
    """The records of a window's cells; while it times them it says the place of the cell whose turn begins."""
    cells, task = work
    return windows.measure_window(cells, say) if task == "throughput" else [measure_cell(cell, task) for cell in cells]
