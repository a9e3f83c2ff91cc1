"""Where cells are measured: what every engine offers, and the engines by name."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.suites.cell import Cell
from bench.suites.suite import Group
from bench.sweeps.windows import windows
from bench.tables.records import Record


@dataclass(frozen=True)
class CellResult:
    """A cell's record, and the machine and versions that it was measured with."""

    cell: Cell
    record: Record
    environment: dict[str, Any]


class Engine(ABC):
    """Measures cells in processes of their own: one that hangs, dies or asks for too much ends alone."""

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
