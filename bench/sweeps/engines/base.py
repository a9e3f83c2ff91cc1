"""What every engine offers, and what it is opened with."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from bench.suites.cell import Cell
from bench.suites.suite import Group
from bench.sweeps.windows import windows
from bench.sweeps.worker import Setup
from bench.tables.records import Record


@dataclass(frozen=True)
class CellResult:
    """A cell's record, and the machine and versions that it was measured with."""

    cell: Cell
    record: Record
    environment: dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What an engine is opened with.

    Attributes:
        setup: What its workers are told: plug-in files, bytes that one may allocate.
        jobs: How many cells are measured side by side on this machine.
        limit: Seconds that a cell may take.
        address: Where its machines are asked for (`--scheduler`); None: here.
        log: Is told lines for the run's log.
    """

    setup: Setup = field(default_factory=Setup)
    jobs: int = 1
    limit: float = inf
    address: str | None = None
    log: Callable[[str], None] = lambda line: None


class Engine(ABC):
    """Measures cells in processes of their own: one that hangs, dies or asks for too much ends alone.

    `bench.sweeps.engines.isolated.Isolated` is such a process; `bench.sweeps.engines.elsewhere.Station` keeps them on
    another machine. A new engine is a file with a subclass, and a line in `bench.sweeps.engines.choose.ENGINES`.
    """

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def width(self) -> int:
        """How many accuracy tasks run side by side."""

    @abstractmethod
    def measure(self, cells: Sequence[Cell], task: Group) -> Iterator[list[CellResult]]:
        """Every cell's record, as they come; timed cells run while no other cell does on their machine."""

    @abstractmethod
    def close(self) -> None:
        """Ends every process at once, whatever it is doing."""


def in_windows(cells: Sequence[Cell], task: Group) -> list[tuple[Cell, ...]]:
    """What a process is given at a time: one cell's accuracy, or timed cells of one device that are visited in turn."""
    if task == "accuracy":
        return [(cell,) for cell in cells]
    devices = dict.fromkeys(cell.device for cell in cells)
    return [window for device in devices for window in windows([cell for cell in cells if cell.device == device])]
