"""Selects the tasks of a run: a suite's cells, restricted by a filter or shard, without finished tasks."""

from dataclasses import dataclass
from pathlib import Path

from bench.provenance.seeds import check_collisions
from bench.suites.cell import Cell
from bench.suites.suite import Suite, load_suite, parse_suite
from bench.sweeps.cost import Cost
from bench.tables import where as filters
from bench.tables.folder import Plan
from bench.tables.records import Record, Records, Task
from estimators.errors import BadInput, nearest

RERUN_CHOICES = ("missing", "failed", "stale", "all")
Work = tuple[Cell, Task]


@dataclass(frozen=True)
class Planned:
    """The plan of a run: a suite's cells, the tasks to run (`work`), cells measured from other source code (`stale`),
    and the expected cost."""

    suite: Suite
    cells: list[Cell]
    work: list[Work]
    stale: list[Cell]
    cost: Cost

    def tasks(self) -> Plan:
        """The tasks of every cell of the suite, by cell id."""
        return {cell.id: tasks_of(cell, self.suite) for cell in self.cells}


def resolve(
    suite: str | Path | Suite, *, device: str | None = None, seed: int | None = None, timeout: float | None = None
) -> Suite:
    """Reads a suite by name or file, and applies options that override it. Raises BadInput for an error in them."""
    loaded = suite if isinstance(suite, Suite) else load_suite(suite)
    given = {"device": [device] if device else None, "seed": seed, "timeout": timeout}
    changed = {key: value for key, value in given.items() if value is not None}
    return parse_suite(loaded.model_dump() | changed, "the options") if changed else loaded


def tasks_of(cell: Cell, suite: Suite) -> list[Task]:
    """The tasks of a cell: its groups of metrics, or only `plan` if it is not applicable."""
    return ["plan"] if cell.reason else [*suite.metrics]


def pick(every: list[Cell], where: str | None) -> list[Cell]:
    """The cells that match the filter `where`; raises BadInput if none does."""
    if not where:
        return every
    chosen = filters.parse(where)
    picked = [cell for cell in every if chosen(filters.filter_facts(vars(cell) | {"cell": cell.id}))]
    if not picked:
        raise BadInput(f"--where {where!r} matches none of the suite's {len(every)} cells")
    return picked


def planned_work(suite: Suite, every: list[Cell], picked: list[Cell], done: Records, rerun: str = "missing") -> Planned:
    """The plan of a run.

    Args:
        suite: The suite.
        every: All its cells.
        picked: The cells that this run may measure.
        done: The records of earlier runs.
        rerun: Which finished tasks are measured again; see `RERUN_CHOICES`.
    """
    check_collisions(suite.seed, ((cell.id, _problem(cell)) for cell in every if not cell.reason))
    latest = done.latest()
    tasks: list[Work] = [(cell, task) for cell in picked for task in tasks_of(cell, suite)]
    work: list[Work] = [(cell, task) for cell, task in tasks if _wanted(latest.get((cell.id, task)), cell, rerun)]
    stale = [cell for cell, task in tasks if _stale(latest.get((cell.id, task)), cell)]
    return Planned(suite, every, work, stale, Cost.of(every, latest, suite.timeout))


def known_rerun(rerun: str) -> None:
    """Raises BadInput if `rerun` is not one of `RERUN_CHOICES`."""
    if rerun not in RERUN_CHOICES:
        raise BadInput(f"--rerun {rerun!r} is not known; {nearest(rerun, RERUN_CHOICES)}")


def stale_note(planned: Planned, rerun: str) -> list[str]:
    """A note about finished cells that were measured from other source code; empty if they are measured again."""
    if not planned.stale or rerun in ("stale", "all"):
        return []
    return [f"{len(planned.stale)} cells were measured from other source code; --rerun stale measures them again"]


def _problem(cell: Cell) -> tuple[str | int, ...]:
    """The key shared by cells that are compared with each other: problem and number of samples."""
    return (
        cell.distribution,
        cell.distribution_params,
        cell.objective,
        cell.objective_params,
        cell.coordinates,
        cell.point,
        cell.samples,
    )


def _wanted(found: Record | None, cell: Cell, rerun: str) -> bool:
    if found is None or rerun == "all":
        return True
    if rerun == "stale":
        return _stale(found, cell)
    return rerun == "failed" and found["status"] not in ("ok", "not_applicable")


def _stale(found: Record | None, cell: Cell) -> bool:
    """Whether a record was measured from source code that has changed since."""
    return found is not None and found["source_digest"] != cell.source_digest
