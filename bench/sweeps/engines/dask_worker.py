"""What a Dask worker keeps for one run: the plug-in files that travelled, and the processes that measure."""

import fcntl
import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import distributed
import torch

from bench.provenance.identity import installed_digest, json_digest
from bench.provenance.machine import environment
from bench.suites.suite import Group
from bench.sweeps.engines.isolated import Isolated, Window
from bench.sweeps.worker import Setup
from bench.tables.records import Record
from estimators.errors import BadInput


def measure_in_task(name: str, window: Window, task: Group) -> tuple[list[Record], dict[str, Any]]:
    """A Dask task: a window's records from the worker's `Measurer` called `name`, and its environment."""
    measurer: Any = distributed.get_worker().plugins[name]
    return measurer.measure(window, task)


class Measurer(distributed.WorkerPlugin):
    """Travels to every worker, also to those that join late, and ends its processes when the run does."""

    def __init__(self, setup: Setup, limit: float) -> None:
        self.files = {Path(path).name: Path(path).read_text(encoding="utf-8") for path in setup.plugins}
        self.told, self.limit, self.versions = setup, limit, _versions()

    def setup(self, worker: Any) -> None:
        """Puts the plug-in files where processes find them; starts none before there is a cell."""
        # Dask's worker processes are daemons, which may have no children unless they forget that they are.
        multiprocessing.current_process()._config["daemon"] = False  # pyright: ignore[reportAttributeAccessIssue]
        self.folder = tempfile.TemporaryDirectory(prefix="gradest-")
        for name, text in self.files.items():
            Path(self.folder.name, name).write_text(text, encoding="utf-8")
        limit = worker.memory_manager.memory_limit
        self.told = replace(
            self.told,
            plugins=tuple(str(Path(self.folder.name, name)) for name in self.files),
            memory=self.told.memory or (limit and limit // worker.state.nthreads),
        )
        self.address, self._processes = worker.address, []
        self._idle: SimpleQueue[Isolated] = SimpleQueue()

    def teardown(self, worker: Any) -> None:
        """Ends the processes, whatever they are doing."""
        for process in self._processes:
            process.close()
        self.folder.cleanup()

    def measure(self, window: Window, task: Group) -> tuple[list[Record], dict[str, Any]]:
        """Runs in one of the worker's threads; as many processes as threads come to be."""
        if _versions() != self.versions:
            here, there = self.versions[1], _versions()[1]
            raise BadInput(
                f"the Dask worker {self.address} has another gradest or torch ({there}) than this machine ({here}): "
                "their numbers would not be the same; install one version everywhere"
            )
        process = self._process()
        with _alone(window[0].device) if task == "throughput" else nullcontext():
            found = process.measure_all(window, task)
        self._idle.put(process)
        return found, environment()

    def _process(self) -> Isolated:
        try:
            return self._idle.get_nowait()
        except Empty:
            self._processes.append(Isolated(self.told, self.limit))
            return self._processes[-1]


def _versions() -> tuple[str, str]:
    """What must be the same everywhere: gradest's source, torch."""
    return installed_digest(), f"torch {torch.__version__}"


@contextmanager
def _alone(device: str) -> Iterator[None]:
    """Holds this machine's lock for timed cells, so that no two are measured at once, or no two on one accelerator."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "") if device != "cpu" else "cpu"
    path = Path(tempfile.gettempdir()) / f"gradest-{os.getuid()}-{json_digest(seen)}.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
