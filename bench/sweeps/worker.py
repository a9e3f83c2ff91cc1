"""The code inside a worker process: it uses one thread, loads the user's plug-ins and measures cells or windows."""

import os
from dataclasses import dataclass

import torch
from threadpoolctl import threadpool_limits

from bench.isolation.child import Action, Say
from bench.plugins.files import PluginFile
from bench.suites.cell import Cell
from bench.suites.grid import source_digest
from bench.suites.suite import Group
from bench.sweeps import windows
from bench.sweeps.cell_record import measure_cell
from bench.sweeps.traces import Traces
from bench.system.optional import keep_freed_memory
from bench.tables.records import Record
from estimators.errors import BadInput


@dataclass(frozen=True)
class Setup:
    """The settings of a worker: plug-in files, bytes it may allocate, the index of its accelerator."""

    plugins: tuple[PluginFile, ...] = ()
    memory: int | None = None
    accelerator: int | None = None


def start_worker(setup: Setup) -> Action:
    """Prepares a fresh worker and returns its action, `measure_task`.

    Computes a derivative, because torch's imports at its first derivative must not count against a cell's time limit.
    """
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    keep_freed_memory()
    single_threaded()
    if setup.accelerator is not None:
        torch.accelerator.set_device_index(setup.accelerator)
    _, pullback, *_ = torch.func.vjp(torch.square, torch.ones(2))
    torch.func.vmap(pullback)(torch.ones(1, 2))
    for file in setup.plugins:
        file.load()
    return measure_task


def single_threaded() -> None:
    """Limits torch, and the linear algebra of numpy and scipy, to one thread.

    Workers run side by side: the decomposition of 64 × 2,080 batch means takes 7 ms with one thread, and half a second
    with the threads of two workers that wait for each other on two cores.
    """
    torch.set_num_threads(1)
    threadpool_limits(1)
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")  # loaded later


@dataclass(frozen=True)
class WindowResult:
    """The records of a window's cells, and what they left behind in the worker; empty if nothing (see `Traces`)."""

    records: list[Record]
    left: str = ""


def measure_task(work: tuple[tuple[Cell, ...], Group], say: Say) -> WindowResult:
    """Measures the cells of a window; `say` gets the index of the cell whose turn begins.

    What the cells of plug-ins left behind is added to the reason of each of them.
    """
    cells, task = work
    for cell in cells:
        _refuse_other_source(cell)
    traces = Traces() if any(cell.plugin for cell in cells) else None
    records = (
        windows.measure_window(cells, say) if task == "throughput" else [measure_cell(each, task) for each in cells]
    )
    left = traces.found() if traces else ""
    if left:
        note = f"{left}: its worker was replaced"
        records = [each | {"reason": "; ".join(filter(None, (each["reason"], note)))} for each in records]
    return WindowResult(records, left)


def _refuse_other_source(cell: Cell) -> None:
    """Raises BadInput if the classes of a plug-in's cell are not those that the run was planned with.

    A plug-in file travels as text; a module that it imports, or an installed package, may have changed since.
    """
    if not cell.plugin:
        return
    try:
        here = source_digest(cell)
    except Exception:  # it cannot be built: its row says so
        return
    if here != cell.source_digest:
        raise BadInput(f"the source of {cell.plugin} has changed since the run began; run the same command again")
