"""The part of a run that a Dask worker keeps: a `Station` as Dask's plug-in."""

import multiprocessing
from typing import Any

import distributed

from bench.suites.suite import Group
from bench.sweeps.engines.elsewhere import Station
from bench.sweeps.engines.isolated import Window
from bench.tables.records import Record


def measure_in_task(name: str, window: Window, task: Group) -> tuple[list[Record], dict[str, Any]]:
    """A Dask task: a window's records from the worker's plug-in called `name`, and its environment."""
    plugin: Any = distributed.get_worker().plugins[name]
    return plugin.station.measure(window, task)


class StationPlugin(distributed.WorkerPlugin):
    """Travels to every worker, also to those that join late, and ends its processes when the run does."""

    def __init__(self, station: Station) -> None:
        self.station = station

    def setup(self, worker: Any) -> None:
        """Opens the station; the worker's memory is shared among its threads."""
        # Dask's worker processes are daemons, which may have no children unless they forget that they are.
        multiprocessing.current_process()._config["daemon"] = False  # pyright: ignore[reportAttributeAccessIssue]
        memory = worker.memory_manager.memory_limit
        self.station.open(f"the Dask worker {worker.address}", memory and memory // worker.state.nthreads)

    def teardown(self, worker: Any) -> None:
        """Closes the station."""
        self.station.close()
