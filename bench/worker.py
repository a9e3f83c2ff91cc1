"""What runs inside a worker process: one thread, the user's plug-ins, one cell at a time."""

import os
import signal

from bench.plugins import load_files


def start(plugins: tuple[str, ...]) -> None:
    """Readies a fresh worker. Ctrl-C is the parent's to handle; the parent ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)
    load_files(plugins)
