"""What runs inside a worker process: one thread, the user's plug-ins, one cell or one window at a time.

Nothing heavy is imported before the process watches over its parent.
"""

import multiprocessing
import os
import resource
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait

WORKER = "gradest worker"
"""What the process is called."""


@dataclass(frozen=True)
class Setup:
    """What a worker is told before its first cell: plug-in files, bytes it may allocate, its accelerator."""

    plugins: tuple[str, ...] = ()
    memory: int | None = None
    accelerator: int | None = None


def serve(connection: Connection, setup: Setup) -> None:
    """Says "" when it is ready, or why it cannot be; then answers cells and their task with their records.

    While it times a window it also says the place of the cell whose turn begins.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from estimators.errors import BadInput

    with suppress(EOFError, ConnectionError):  # the parent is gone
        try:
            start_worker(setup)
        except BadInput as error:
            connection.send(str(error))
            return
        connection.send("")
        from bench.sweeps import windows

        while True:
            cells, task = connection.recv()
            timed = task == "throughput"
            found = (
                windows.measure_window(cells, connection.send)
                if timed
                else [measure_cell(cell, task) for cell in cells]
            )
            connection.send(found)


def start_worker(setup: Setup) -> None:
    """Readies a fresh worker.

    What torch imports at its first derivative is imported here, so that no cell's time limit pays for it.
    """
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    import torch

    from bench.measure.execution.allocator import keep_freed_memory
    from bench.plugins.files import load_files

    keep_freed_memory()
    torch.set_num_threads(1)
    if setup.accelerator is not None:
        torch.accelerator.set_device_index(setup.accelerator)
    if setup.memory is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (setup.memory, setup.memory))
    _, pullback, *_ = torch.func.vjp(torch.square, torch.ones(2))
    torch.func.vmap(pullback)(torch.ones(1, 2))
    load_files(setup.plugins)


def _end_with_parent() -> None:
    """A worker whose parent was killed ends at once, also in the middle of a cell that hangs."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
