"""Measures cells on a Dask cluster: cells are sent to its workers and records come back; no shared disk is needed.

The same version of gradest must be installed on every worker. Each Dask worker has a `Station`, which receives the
plug-in files and measures with one isolated process per thread. If a Dask worker dies, Dask gives its cells to another
worker.
"""

import time
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from bench.provenance.machine import machine_environment
from bench.suites.cell import Cell
from bench.suites.suite import Group
from bench.sweeps.cell_record import ended, record
from bench.sweeps.engines.base import CellResult, Engine, Options, in_windows
from bench.sweeps.engines.elsewhere import Station
from estimators.errors import BadInput

try:
    import distributed

    from bench.sweeps.engines.dask_worker import StationPlugin, measure_in_task
except ImportError:
    raise BadInput("--engine dask needs the package distributed: pip install 'gradest[dask]'") from None

WAIT = 30
"""Seconds within which a cluster must answer and have a worker."""


class Dask(Engine):
    """Measures on the cluster at `options.address`, or on a cluster of `jobs` threads started in this process.

    Raises BadInput if no cluster with a worker answers.
    """

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.name = f"gradest-{uuid.uuid4().hex}"
        self._threads: dict[str, int] = {}
        self._looked = 0.0
        self._cluster = None if options.address else _cluster_here(options.jobs)
        self._client = _client(options.address or self._cluster)
        self._client.register_plugin(StationPlugin(Station(options.setup, options.limit)), name=self.name)
        self._look()

    def width(self) -> int:
        """The number of threads of all current workers."""
        return max(1, sum(self._threads.values()))

    def measure(self, cells: Sequence[Cell], task: Group) -> Iterator[list[CellResult]]:
        """Yields records as they arrive; at most two cells or windows per thread are submitted at a time."""
        waiting = deque(in_windows(cells, task))
        running: dict[distributed.Future, tuple[Cell, ...]] = {}
        finished = distributed.as_completed(loop=self._client.loop, with_results=True, raise_errors=False)
        while waiting or running:
            self._look()
            while waiting and len(running) < 2 * self.width():
                future = self._client.submit(measure_in_task, self.name, waiting[0], task, pure=False)
                running[future] = waiting.popleft()
                finished.add(future)
            for future, result in finished.next_batch():
                window = running.pop(future)
                if _killed(result) and len(window) > 1:  # single cells show which cell kills workers
                    waiting.extend((cell,) for cell in window)
                else:
                    yield self._found(window, task, result)

    def close(self) -> None:
        """Ends the processes on the workers, and the cluster if it was started here; each of them may be gone."""
        with suppress(Exception):
            self._client.unregister_worker_plugin(self.name)
        with suppress(Exception):
            self._client.close(timeout=1)
        if self._cluster is not None:
            with suppress(Exception):
                self._cluster.close(timeout=1)

    def _found(self, window: tuple[Cell, ...], task: Group, result: Any) -> list[CellResult]:
        """The records of a window with their machine; Dask's result may also be (type, error, traceback) or a
        cancellation."""
        if not isinstance(result, tuple):
            raise self._lost()
        if not isinstance(result[1], BaseException):
            records, machine = result
            return [CellResult(cell, each, machine) for cell, each in zip(window, records, strict=True)]
        if _killed(result):
            allowed: int = result[1].allowed_failures  # type: ignore[attr-defined]
            reason = f"{allowed + 1} Dask workers died while they measured it"
            lost = ended("crashed", reason)
            return [
                CellResult(cell, record(cell, task, lost, 0.0) | {"threads": 1}, machine_environment())
                for cell in window
            ]
        raise result[1]

    def _look(self) -> None:
        """Updates the list of workers once a second, and logs which workers joined and left."""
        if time.monotonic() < self._looked + 1:
            return
        try:
            threads: Any = self._client.nthreads(callback_timeout=WAIT)
        except (OSError, TimeoutError):
            raise self._lost() from None
        for address in threads.keys() - self._threads.keys():
            self.options.log(f"worker {address} joined with {threads[address]} threads")
        for address in self._threads.keys() - threads.keys():
            self.options.log(f"worker {address} left; its cells go to others")
        self._threads, self._looked = {**threads}, time.monotonic()

    def _lost(self) -> BadInput:
        address = self.options.address or "here"
        return BadInput(
            f"the Dask scheduler at {address} does not answer any more; finished cells are saved: run the same command "
            "again"
        )


def _killed(result: Any) -> bool:
    """Whether Dask gave up on a task because workers died."""
    return isinstance(result, tuple) and isinstance(result[1], distributed.KilledWorker)


def _cluster_here(jobs: int) -> "distributed.LocalCluster":
    """A scheduler and a worker as threads of this process; cells run in other processes. Listens on localhost only."""
    inside = "127.0.0.1:0"
    return distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=jobs,
        processes=False,
        dashboard_address=inside,
        worker_dashboard_address=inside,
    )


def _client(where: Any) -> "distributed.Client":
    try:
        client = distributed.Client(where, timeout=WAIT, set_as_default=False)
        client.wait_for_workers(1, timeout=WAIT)
    except (OSError, TimeoutError, ValueError) as error:
        raise BadInput(f"no Dask cluster with a worker answers at {where}: {error}") from None
    return client
