"""The part of an engine on other machines: it receives the plug-in files, checks that the versions are the same
everywhere, and measures cells in separate processes."""

import tempfile
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import torch

from bench.plugins.files import PluginFile
from bench.provenance.identity import installed_digest
from bench.provenance.machine import machine_environment
from bench.suites.suite import Group
from bench.sweeps.engines.isolated import Isolated, Window
from bench.sweeps.worker import Setup
from bench.tables.records import Record
from estimators.errors import BadInput


class Station:
    """Measures cells on another machine: created by the run, pickled and sent to the machine, used from `open` to
    `close`.

    Args:
        setup: Settings of its workers.
        limit: Seconds that a cell may take.
    """

    def __init__(self, setup: Setup, limit: float) -> None:
        self.files = {Path(file.path).name: file.text for file in setup.plugins}
        self.setup, self.limit, self.versions = setup, limit, versions()

    def open(self, place: str, memory: int | None) -> None:
        """Writes the plug-in files to a temporary folder; processes start only with the first cell.

        Args:
            place: A description of the machine, for messages.
            memory: Bytes that a process may allocate, unless the run sets a limit.
        """
        self.place, self._processes = place, []
        self._idle: SimpleQueue[Isolated] = SimpleQueue()
        self.folder = tempfile.TemporaryDirectory(prefix="gradest-")
        for name, text in self.files.items():
            Path(self.folder.name, name).write_text(text, encoding="utf-8")
        plugins = tuple(PluginFile(str(Path(self.folder.name, name)), text) for name, text in self.files.items())
        self.setup = replace(self.setup, plugins=plugins, memory=self.setup.memory or memory)

    def measure(self, window: Window, task: Group) -> tuple[list[Record], dict[str, Any]]:
        """Measures a window; returns its records and this machine's environment.

        May run in several threads, each with its own process. Raises BadInput if this machine has other versions than
        the run.
        """
        self._same_versions()
        process = self._process()
        found = process.measure_all(window, task)
        self._idle.put(process)
        return found, machine_environment()

    def close(self) -> None:
        """Ends the processes, whatever they are doing."""
        for process in self._processes:
            process.close()
        self.folder.cleanup()

    def _same_versions(self) -> None:
        if versions() != self.versions:
            here, there = self.versions[1], versions()[1]
            raise BadInput(
                f"{self.place} has another gradest or torch ({there}) than this machine ({here}): "
                "their numbers would not be the same; install one version everywhere"
            )

    def _process(self) -> Isolated:
        try:
            return self._idle.get_nowait()
        except Empty:
            self._processes.append(Isolated(self.setup, self.limit))
            return self._processes[-1]


def versions() -> tuple[str, str]:
    """The versions that must agree on all machines: a digest of gradest's source, and torch's version."""
    return installed_digest(), f"torch {torch.__version__}"
