"""Seconds planned beside seconds taken: `python -m tests.perf.planned_time FOLDER …` for folders of runs.

A line per folder and task: the cells with a record, the seconds that `gradest plan` expects of them without any record,
the seconds that they took, and the ratio. Seconds taken are those of the clock: other work on the machine adds to them.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from bench.suites.grid import suite_cells
from bench.suites.suite import load_suite
from bench.sweeps.cost import Cost
from bench.tables.columns import SCHEMA
from bench.tables.records import read_records


def planned_and_taken(folder: Path) -> Iterator[tuple[str, int, float, float]]:
    """The task, its cells, and their seconds planned and taken."""
    suite = load_suite(folder / "config.toml")
    cells = {cell.id: cell for cell in suite_cells(suite)}
    cost, sums = Cost(suite.timeout), defaultdict(lambda: [0, 0.0, 0.0])
    for (cell, task), found in read_records(folder, SCHEMA).latest().items():
        if task != "plan" and cell in cells:
            for place, more in enumerate((1, cost.predicted(cells[cell], task), found["wall_s"])):
                sums[task][place] += more
    yield from ((task, int(count), planned, taken) for task, (count, planned, taken) in sums.items())


def main() -> None:
    """Prints the table."""
    print(f"{'folder':30s} {'task':10s} {'cells':>6s} {'planned':>9s} {'taken':>9s} {'ratio':>6s}")
    for folder in map(Path, sys.argv[1:]):
        for task, count, planned, taken in planned_and_taken(folder):
            ratio = planned / max(taken, 1e-9)
            print(f"{folder.name:30s} {task:10s} {count:6d} {planned:9.1f} {taken:9.1f} {ratio:6.2f}")


if __name__ == "__main__":
    main()
