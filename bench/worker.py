"""What runs inside a worker process: one thread, the user's plug-ins, one cell at a time."""

import os
import resource
import signal

from bench.plugins import load_files


def start(plugins: tuple[str, ...], memory: int | None) -> None:
    """Readies a fresh worker that may allocate `memory` bytes. Ctrl-C is the parent's to handle, as ending is.

    What torch imports at its first derivative is imported here, so that no cell's time limit pays for it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    import torch

    import bench.cell  # noqa: F401

    torch.set_num_threads(1)
    if memory is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    _, pullback, *_ = torch.func.vjp(torch.square, torch.ones(2))
    torch.func.vmap(pullback)(torch.ones(1, 2))
    load_files(plugins)
