"""Runs a sweep: plans cells, measures them with an engine, and writes records; it can be interrupted at any time.

Accuracy tasks run in parallel; timed tasks follow, one at a time. The parent process plans, writes and shows progress.
It measures nothing, so its state has no influence on the results.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.markup import escape

from bench.display.notebook import InNotebooks
from bench.isolation.child import refuse_inside
from bench.measure.execution.devices import default_dtype
from bench.measure.timing.ceilings import note
from bench.plugins.files import PluginFile, load_files
from bench.provenance.cores import processes
from bench.provenance.machine import machine_environment
from bench.suites.cell import Cell
from bench.suites.grid import suite_cells
from bench.suites.suite import GROUPS, Suite
from bench.sweeps.cell_record import ended, record
from bench.sweeps.cost import longest_first
from bench.sweeps.engines.base import CellResult, Engine, Options
from bench.sweeps.engines.choose import known_engine, open_engine
from bench.sweeps.planning import Planned, Work, known_rerun, pick, planned_work, resolve, stale_note
from bench.sweeps.shards import sharded
from bench.sweeps.worker import Setup
from bench.system.optional import has_memory_limits, missing_parts
from bench.tables.folder import Store
from bench.tables.records import Key, Record
from bench.tables.results import RESULTS
from estimators.deprecation import renamed
from estimators.errors import BadInput, at_least


@dataclass
class Progress:
    """The progress of a run, passed to `show` a few times a second: tasks done, tasks in total, seconds left."""

    done: int
    total: int
    seconds_left: float


@dataclass
class Summary(InNotebooks):
    """What a run did.

    `folder`: of the results. `counts`: tasks by status. `failed`: a sentence per failed task. `notes`: remarks about
    the files. `left`: tasks without a record on disk. `interrupted`: whether Ctrl-C ended the run.
    """

    folder: Path
    counts: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left: int = 0
    interrupted: bool = False

    @property
    def line(self) -> str:
        """The folder, and the number of tasks by status, in one line."""
        counts = ", ".join(f"{count} {name}" for name, count in sorted(self.counts.items()))
        counts = counts or ("nothing was measured" if self.left else "nothing was left to do")
        return f"{self.folder}: {counts}"

    def __rich__(self) -> str:
        left = [f"{self.left} left"] if self.left else []
        return escape("\n".join([self.line, *left, *self.failed, *self.notes]))


@renamed("plugins", "plugin", until="0.3")
def run(
    suite: str | Path | Suite,
    out: str | Path | None = None,
    *,
    where: str | None = None,
    shard: str | None = None,
    jobs: int | None = None,
    device: str | None = None,
    seed: int | None = None,
    timeout: float | None = None,
    memory: float | None = None,
    rerun: str = "missing",
    plugin: str | Path | Iterable[str | Path] = (),
    force: bool = False,
    engine: str = "local",
    scheduler: str | None = None,
    show: Callable[[Progress], None] = lambda progress: None,
) -> Summary:
    """Measures the cells of a suite that have no result yet.

    Every finished cell is saved at once: after an interruption, run the same command again to continue.

    Args:
        suite: A built-in suite, or a TOML file.
        out: Folder of the results. Default: results/SUITE.
        where: Measures only these cells, e.g. 'estimator == "rloo" and samples >= 4'.
        shard: Measures only the i-th of n shards of the cells, e.g. 1/4.
        jobs: Number of worker processes. Default: one per core.
        device: cpu, cuda, cuda:1, … Default: as the suite says.
        seed: Replaces the suite's seed.
        timeout: Seconds that one cell may take. Default: as the suite says.
        memory: GiB that one worker may allocate. Default: no limit.
        rerun: Which cells are measured again: missing, failed, stale (measured from other source code) or all.
        plugin: Python file that registers plug-ins; several are allowed.
        force: Measures pairs that do not fit, too.
        engine: Where cells are measured: local, or dask (a cluster).
        scheduler: Address of the Dask cluster. Default: a cluster started on this machine.
        show: Called with the progress a few times a second.

    Returns:
        The folder, the number of tasks by status, and a sentence about each failed task.

    Raises:
        BadInput: An argument or the suite is wrong, and nothing was written; or the folder cannot be written.

    Note:
        Workers are fresh processes that import the calling script: call `run` under `if __name__ == "__main__":`, and
        pass your own plug-ins as files.
    """
    refuse_inside("bench.run")
    files = tuple(PluginFile.imported(path) for path in load_files(plugin))
    resolved, folder = resolve(suite, device=device, seed=seed, timeout=timeout), folder_of(suite, out)
    known_rerun(rerun)
    known_engine(engine)
    setup = Setup(files, memory_limit(memory))
    options = partial(Options, setup, processes(jobs), resolved.timeout, scheduler)
    every = suite_cells(resolved, force=force)
    picked = sharded(pick(every, where), shard)  # bad input is reported before anything is written
    with Store(folder) as store:
        done = store.read()
        planned = planned_work(resolved, every, picked, done, rerun)
        summary = Summary(folder, notes=[*done.notes, *stale_note(planned, rerun)])
        del done  # frees the memory of earlier records, which are on disk
        store.begin(resolved.model_dump(), planned.tasks(), shard)
        store.log(*(f"this system has no {name}: {without}" for name, without in missing_parts().items()))
        store.log(f"run: {len(planned.work)} of {len(picked)} cells' tasks to do, engine {engine}")
        _measure_and_write(
            planned, lambda: open_engine(engine, options(store.log)), _Writer(store, summary, planned, show)
        )
    if "throughput" in resolved.metrics and not summary.interrupted:
        note(folder, executions(resolved))
    return summary


def _measure_and_write(planned: Planned, opening: Callable[[], Engine], writer: "_Writer") -> None:
    """Measures the planned tasks; after Ctrl-C, finished tasks are kept."""
    store, summary = writer.store, writer.summary
    try:
        writer(_unfit(planned))
        if writer.left:
            _measure_all(planned, opening(), writer)
        on_disk = store.finish()
        summary.left = sum((cell.id, task) not in on_disk for cell, task in planned.work)
        store.log(f"run: ended, {summary.counts}, {summary.left} left")
    except KeyboardInterrupt:
        summary.interrupted, summary.left = True, len(writer.left)
        store.log("run: interrupted")
    except OSError as error:
        raise BadInput(
            f"the run cannot go on: {error.strerror or error}; what is done is saved: run the same command again"
        ) from None


def memory_limit(gib: float | None) -> int | None:
    """Converts GiB to bytes.

    Raises BadInput below 0.1 GiB, with which no worker starts, and where the system has no memory limits.
    """
    if gib is None:
        return None
    if not has_memory_limits():
        raise BadInput("--memory: this system cannot limit the memory of a process; leave the option out")
    return int(at_least(0.1, "memory", gib) * 2**30)


def _measure_all(planned: Planned, engine: Engine, write: "_Writer") -> None:
    try:
        for task in GROUPS:
            write.width = engine.width()
            cells = [cell for cell, own in planned.work if own == task]
            for found in engine.measure(longest_first(cells, task, planned.cost, write.width), task):
                write(found)
    finally:
        engine.close()


def _unfit(planned: Planned) -> list[CellResult]:
    """The records of cells that are not applicable; these are written without a measurement."""
    unfit = [cell for cell, task in planned.work if task == "plan"]
    return [CellResult(cell, _not_applicable(cell), machine_environment()) for cell in unfit]


def _not_applicable(cell: Cell) -> Record:
    return record(cell, "plan", ended("not_applicable", cell.reason), 0.0)


class _Writer:
    """Appends records, counts them, and reports progress."""

    def __init__(self, store: Store, summary: Summary, planned: Planned, show: Callable[[Progress], None]) -> None:
        self.store, self.summary, self.show, self.width = store, summary, show, 1
        self.cost, self._next = planned.cost, 0.0
        self.left: dict[Key, Work] = {(cell.id, task): (cell, task) for cell, task in planned.work}
        self.total = len(self.left)

    def __call__(self, found: list[CellResult]) -> None:
        machines = [self.store.note_environment(each.environment) for each in found]
        self.store.append({**each.record, "env": env} for each, env in zip(found, machines, strict=True))
        for each in found:
            self._count(each.cell, each.record)
        self.store.log(*(_line(each.cell, each.record) for each in found))
        if time.monotonic() > self._next or not self.left:
            self._say()

    def _say(self) -> None:
        """Reports progress at most five times a second and for at most a twentieth of the time."""
        start = time.monotonic()
        seconds_left = self.cost.total(self.left.values(), self.width)
        progress = Progress(self.total - len(self.left), self.total, seconds_left)
        self.show(progress)
        self.store.say(vars(progress))
        now = time.monotonic()
        self._next = now + max(0.2, 20 * (now - start))

    def _count(self, cell: Cell, found: Record) -> None:
        del self.left[cell.id, found["task"]]
        self.cost.add(cell, found["task"], found["wall_s"])
        counts, status = self.summary.counts, found["status"]
        counts[status] = counts.get(status, 0) + 1
        if status not in ("ok", "not_applicable"):
            self.summary.failed.append(f"{status}: {cell.label}, {found['task']}: {found['reason']}")


def _line(cell: Cell, found: Record) -> str:
    return f"{found['status']} {found['task']} {found['wall_s']:.2f} s {cell.label} {found['reason']}".rstrip()


def executions(suite: Suite) -> list[tuple[str, str]]:
    """The pairs of device and dtype of a suite's cells."""
    return [(device, dtype) for device in suite.device for dtype in suite.dtype or [default_dtype(device)]]


def folder_of(suite: str | Path | Suite, out: str | Path | None) -> Path:
    """The folder of a run's results. Raises BadInput if it cannot be derived from the suite's name."""
    if out is not None:
        return Path(out)
    if isinstance(suite, Suite):
        raise BadInput("a suite object has no name for the folder of results; give the folder: out=…")
    path = Path(suite)
    if path.stem == "..":  # the file is called ...toml
        raise BadInput(f"{path} does not give a name for the folder of results; give the folder: --out DIR")
    return path.parent if path.name == "config.toml" else RESULTS / path.stem
