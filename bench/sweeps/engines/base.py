"""The interface of engines, and their options."""

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
    """A cell's record, with the machine and versions of its measurement."""

    cell: Cell
    record: Record
    environment: dict[str, Any]


@dataclass(frozen=True)
class Options:
    """The options of an engine.

    Attributes:
        setup: Settings of its workers: plug-in files, bytes that a worker may allocate.
        jobs: Number of cells measured in parallel on this machine.
        limit: Seconds that a cell may take.
        address: Address of a scheduler of other machines (`--scheduler`). Default: this machine.
        log: Called with lines for the run's log.
    """

    setup: Setup = field(default_factory=Setup)
    jobs: int = 1
    limit: float = inf
    address: str | None = None
    log: Callable[[str], None] = lambda line: None


class Engine(ABC):
    """Measures cells in separate processes: a cell that hangs, crashes or runs out of memory affects no other cell.

    `bench.sweeps.engines.isolated.Isolated` is such a process; `bench.sweeps.engines.elsewhere.Station` manages these
    processes on another machine. A new engine is a file with a subclass, and a line in
    `bench.sweeps.engines.choose.ENGINES`.
    """

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def width(self) -> int:
        """The number of accuracy tasks that run in parallel."""

    @abstractmethod
    def measure(self, cells: Sequence[Cell], task: Group) -> Iterator[list[CellResult]]:
        """Yields the record of every cell as it is finished; timed cells run alone on their machine."""

    @abstractmethod
    def close(self) -> None:
        """Ends every process at once, whatever it is doing."""


def in_windows(cells: Sequence[Cell], task: Group) -> list[tuple[Cell, ...]]:
    """Groups cells into the units of work of a process: single cells for accuracy, windows of one device for timing.

    Cells of the same plug-ins follow each other and share no window with others: a process that has measured one
    plug-in's cells is not used for another's (`bench.sweeps.engines.isolated.Isolated`).
    """
    if task == "accuracy":
        return [(cell,) for cell in sorted(cells, key=lambda cell: cell.plugin)]
    kinds = sorted({(cell.device, cell.plugin) for cell in cells})
    own = [[cell for cell in cells if (cell.device, cell.plugin) == kind] for kind in kinds]
    return [window for group in own for window in windows(group)]
