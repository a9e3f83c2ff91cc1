"""The code on a Dask worker: a `Station` as a plug-in of Dask."""

import multiprocessing
from typing import Any

import distributed

from bench.suites.suite import Group
from bench.sweeps.engines.elsewhere import Station
from bench.sweeps.engines.isolated import Window
from bench.tables.records import Record


def measure_in_task(name: str, window: Window, task: Group) -> tuple[list[Record], dict[str, Any]]:
    """A Dask task: measures a window with the worker's plug-in `name`; returns the records and the environment."""
    plugin: Any = distributed.get_worker().plugins[name]
    return plugin.station.measure(window, task)


class StationPlugin(distributed.WorkerPlugin):
    """Dask's plug-in on every worker, including late ones; it ends its processes at the end of the run."""

    def __init__(self, station: Station) -> None:
        self.station = station

    def setup(self, worker: Any) -> None:
        """Opens the station; each thread may use an equal share of the worker's memory."""
        # Dask's worker processes are daemons, which may not have children, so the flag is cleared.
        multiprocessing.current_process()._config["daemon"] = False  # pyright: ignore[reportAttributeAccessIssue]
        memory = worker.memory_manager.memory_limit
        self.station.open(f"the Dask worker {worker.address}", memory and memory // worker.state.nthreads)

    def teardown(self, worker: Any) -> None:
        """Closes the station."""
        self.station.close()
