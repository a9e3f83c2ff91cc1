"""Many cells: worker processes with time limits, isolation from crashes, and one writer that can be interrupted.

Accuracy tasks run side by side; timed tasks follow, one at a time and alone. The parent plans, writes and shows
progress; it computes nothing, so that its state is no part of a number.
"""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures import TimeoutError as OutOfTime
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessPool

from bench import where as filters
from bench import worker
from bench.cell import Cell, Record, ended, measure, record
from bench.config import Suite, load_suite, parse_suite
from bench.grid import cells
from bench.plugins import load_files
from bench.progress import Cost
from bench.records import Key, Records, Task
from bench.shards import sharded
from bench.store import Plan, Store
from estimators.errors import BadInput, nearest

RERUN = ("missing", "failed", "stale", "all")
Work = tuple[Cell, Task]
Show = Callable[["Progress"], None]


@dataclass
class Progress:
    """How far a run is; handed to `show` a few times a second."""

    done: int
    total: int
    seconds_left: float


@dataclass
class Summary:
    """What a run did: where, how many tasks by status, those that failed, and what was odd."""

    folder: Path
    counts: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left: int = 0
    interrupted: bool = False


@dataclass(frozen=True)
class Planned:
    """A suite's cells, what of them is to be run, what was measured from other source, and what cells cost."""

    suite: Suite
    cells: list[Cell]
    work: list[Work]
    stale: list[Cell]
    cost: Cost

    def tasks(self) -> Plan:
        return {cell.id: tasks_of(cell, self.suite) for cell in self.cells}


def resolve(
    suite: str | Path | Suite, *, device: str | None = None, seed: int | None = None, timeout: float | None = None
) -> Suite:
    """A suite by name or file, with what the command line overrides."""
    loaded = suite if isinstance(suite, Suite) else load_suite(suite)
    given = {"device": [device] if device else None, "seed": seed, "timeout": timeout}
    changed = {key: value for key, value in given.items() if value is not None}
    return parse_suite(loaded.model_dump() | changed, "the command line") if changed else loaded


def tasks_of(cell: Cell, suite: Suite) -> list[Task]:
    """A cell's tasks: its groups of metrics, or the plan's own word where it is not applicable."""
    return ["plan"] if cell.reason else [*suite.metrics]


def pick(every: list[Cell], where: str | None) -> list[Cell]:
    """The cells that a filter means; a filter that means none is a slip."""
    if not where:
        return every
    chosen = filters.parse(where)
    picked = [cell for cell in every if chosen(filters.facts(vars(cell) | {"cell": cell.id}))]
    if not picked:
        raise BadInput(f"--where {where!r} means none of the suite's {len(every)} cells")
    return picked


def plan(suite: Suite, every: list[Cell], picked: list[Cell], done: Records, rerun: str = "missing") -> Planned:
    """Which tasks of the picked cells are to be run, given what is done."""
    latest = done.latest()
    tasks: list[Work] = [(cell, task) for cell in picked for task in tasks_of(cell, suite)]
    work: list[Work] = [(cell, task) for cell, task in tasks if _wanted(latest.get((cell.id, task)), cell, rerun)]
    stale = [cell for cell, task in tasks if _stale(latest.get((cell.id, task)), cell)]
    return Planned(suite, every, work, stale, Cost.of(every, latest))


def run(
    suite: Suite,
    folder: Path,
    *,
    where: str | None = None,
    shard: str | None = None,
    jobs: int | None = None,
    rerun: str = "missing",
    plugins: Iterable[str] = (),
    force: bool = False,
    memory: float | None = None,
    show: Show = lambda progress: None,
) -> Summary:
    """Measures what is missing of a suite into `folder`; Ctrl-C keeps what is done."""
    plugins = tuple(str(Path(path).resolve()) for path in plugins)
    load_files(plugins)
    known_rerun(rerun)
    every = cells(suite, force=force)
    picked = sharded(pick(every, where), shard)  # all bad input is found before anything is written
    with Store(folder) as store:
        done = store.read()
        planned = plan(suite, every, picked, done, rerun)
        store.begin(suite.model_dump(), planned.tasks())
        summary = Summary(folder, notes=[*done.notes, *_stale_note(planned, rerun)])
        store.log(f"run: {len(planned.work)} of {len(picked)} cells' tasks to do, {jobs or cores()} workers")
        writer = _Writer(store, summary, planned, jobs or cores(), show)
        try:
            _measure_all(planned, plugins, jobs or cores(), memory, writer)
            store.finish()
            store.log(f"run: ended, {summary.counts}")
        except KeyboardInterrupt:
            summary.interrupted = True
            store.log("run: interrupted")
        summary.left = len(writer.left)
    return summary


def known_rerun(rerun: str) -> None:
    """Raises for a word that --rerun does not know."""
    if rerun not in RERUN:
        raise BadInput(f"--rerun {rerun!r} is not known; {nearest(rerun, RERUN)}")


def cores() -> int:
    """How many workers run side by side unless it is said otherwise."""
    return len(os.sched_getaffinity(0))


def _measure_all(planned: Planned, plugins: tuple[str, ...], jobs: int, memory: float | None, write: "_Writer") -> None:
    unfit = [cell for cell, task in planned.work if task == "plan"]
    write([(cell, record(cell, "plan", ended("not_applicable", cell.reason), 0.0)) for cell in unfit])
    limit = planned.suite.timeout
    for task, most in (("accuracy", jobs), ("throughput", 1)):
        chosen = [cell for cell, own in planned.work if own == task]
        workers = min(most, len(chosen))
        ready = (plugins, _bytes(memory, workers, planned.suite))
        for cell, found in _side_by_side(chosen, task, ready, workers, limit):
            write([(cell, found)])


def _bytes(gib: float | None, workers: int, suite: Suite) -> int | None:
    """What one worker may allocate: as told, else its share of four fifths of the machine's memory.

    None on an accelerator, whose driver maps more than there is.
    """
    if any(device != "cpu" for device in suite.device):
        return None
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(gib * 2**30 if gib is not None else 0.8 * machine / max(workers, 1))


def _side_by_side(
    chosen: list[Cell], task: Any, ready: tuple[Any, ...], workers: int, limit: float
) -> Iterator[tuple[Cell, Record]]:
    """Each cell with its record, as they come; no more than two cells per worker are handed out at a time."""
    if not chosen:
        return
    pool = ProcessPool(workers, initializer=worker.start, initargs=ready, context=multiprocessing.get_context("spawn"))
    waiting = iter(chosen)
    running: dict[Future[Record], Cell] = {}
    try:
        while True:
            for cell in waiting:
                running[pool.schedule(measure, args=(cell, task), timeout=limit)] = cell
                if len(running) >= 2 * workers:
                    break
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                cell = running.pop(future)
                yield cell, _result(future, cell, task, limit)
    finally:
        pool.stop()
        pool.join()


def _result(future: Future[Record], cell: Cell, task: Task, limit: float) -> Record:
    """A cell's record, also where its worker was stopped or died."""
    try:
        return future.result()
    except OutOfTime:
        return record(cell, task, ended("timeout", f"took longer than {limit:g} s"), limit)
    except ProcessExpired as error:
        return record(cell, task, ended("crashed", f"the worker died with exit code {error.exitcode}"), 0.0)


class _Writer:
    """Appends records, counts them, and says how far the run is."""

    def __init__(self, store: Store, summary: Summary, planned: Planned, jobs: int, show: Show) -> None:
        self.store, self.summary, self.jobs, self.show = store, summary, jobs, show
        self.cost, self.shown = planned.cost, 0.0
        self.left: dict[Key, Work] = {(cell.id, task): (cell, task) for cell, task in planned.work}
        self.total = len(self.left)

    def __call__(self, finished: list[tuple[Cell, Record]]) -> None:
        self.store.append([found for _, found in finished])
        for cell, found in finished:
            self._count(cell, found)
        if time.monotonic() > self.shown + 0.2 or not self.left:
            seconds = self.cost.total(self.left.values(), self.jobs)
            self.show(Progress(self.total - len(self.left), self.total, seconds))
            self.shown = time.monotonic()

    def _count(self, cell: Cell, found: Record) -> None:
        del self.left[cell.id, found["task"]]
        self.cost.add(cell, found["task"], found["wall_s"])
        self.store.log(f"{found['status']} {found['task']} {found['wall_s']:.2f} s {cell.label} {found['reason']}")
        counts, status = self.summary.counts, found["status"]
        counts[status] = counts.get(status, 0) + 1
        if status not in ("ok", "not_applicable"):
            self.summary.failed.append(f"{status}: {cell.label}, {found['task']}: {found['reason']}")


def _wanted(found: Record | None, cell: Cell, rerun: str) -> bool:
    if found is None or rerun == "all":
        return True
    if rerun == "stale":
        return _stale(found, cell)
    return rerun == "failed" and found["status"] not in ("ok", "not_applicable")


def _stale(found: Record | None, cell: Cell) -> bool:
    """Whether a record was measured from other source than today's."""
    return found is not None and found["source_digest"] != cell.source_digest


def _stale_note(planned: Planned, rerun: str) -> list[str]:
    if not planned.stale or rerun in ("stale", "all"):
        return []
    return [f"{len(planned.stale)} cells were measured from other source code; --rerun stale measures them again"]
