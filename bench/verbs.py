"""The verbs of the command line, as functions."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from bench import ceilings, formats, planning, rich_tables
from bench import engine as sweep
from bench.columns import SCHEMA
from bench.config import Suite
from bench.engine import Progress, Summary
from bench.grid import cells, check_device, default_dtype
from bench.notebook import Shown as InNotebooks
from bench.plugins import load_files
from bench.records import Records, read
from bench.shards import own_plan
from bench.store import load, said, shown
from estimators.errors import BadInput, nearest

DTYPES = {"float32": torch.float32, "float64": torch.float64}
FORMATS: dict[str, Callable[[pd.DataFrame, Path], None]] = {"csv": formats.write_csv, "parquet": formats.write_parquet}


@dataclass(frozen=True)
class Outlook(InNotebooks):
    """What a run would do: `cells` (a row each: what it is, its status or reason, expected seconds), seconds in all;
    `guessed` where nothing like them was measured yet."""

    cells: pd.DataFrame = field(repr=False)
    seconds: float
    folder: Path
    guessed: bool = False

    def __rich__(self) -> object:
        return rich_tables.outlook(self)


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
    rerun: str = "missing",
    plugins: Iterable[str | Path] = (),
    force: bool = False,
    memory: float | None = None,
    engine: str = "local",
    scheduler: str | None = None,
    show: Callable[[Progress], None] = lambda progress: None,
) -> Summary:
    """Measures what is missing of a suite in the folder `out` (results/<suite> unless it is said otherwise).

    A cell may take `timeout` seconds and a worker allocate `memory` GiB. `engine="dask"` measures on the Dask cluster
    at the address `scheduler`, or on one started for it on this machine.
    Workers are fresh processes: in a script, call this under `if __name__ == "__main__":`, and hand over your own
    plug-ins as files.
    """
    plugins = tuple(str(path) for path in plugins)
    load_files(plugins)
    resolved = planning.resolve(suite, device=device, seed=seed, timeout=timeout)
    folder = folder_of(suite, out)
    summary = sweep.run(
        resolved,
        folder,
        where=where,
        shard=shard,
        jobs=jobs,
        rerun=rerun,
        plugins=plugins,
        force=force,
        memory=memory,
        engine=engine,
        scheduler=scheduler,
        show=show,
    )
    if "throughput" in resolved.metrics and not summary.interrupted:
        ceilings.note(folder, executions(resolved))
    return summary


def executions(suite: Suite) -> list[tuple[str, str]]:
    """The devices and dtypes that a suite's cells run in."""
    return [(device, dtype) for device in suite.device for dtype in suite.dtype or [default_dtype(device)]]


def plan(
    suite: str | Path | Suite,
    out: str | Path | None = None,
    *,
    where: str | None = None,
    jobs: int | None = None,
    device: str | None = None,
    seed: int | None = None,
    rerun: str = "missing",
    plugins: Iterable[str | Path] = (),
    force: bool = False,
) -> Outlook:
    """What `run` would do, without doing it."""
    load_files(str(path) for path in plugins)
    planning.known_rerun(rerun)
    resolved, folder = planning.resolve(suite, device=device, seed=seed), folder_of(suite, out)
    every = cells(resolved, force=force)
    picked = planning.pick(every, where)
    done = read(folder, SCHEMA) if folder.is_dir() else Records([], [])
    found = planning.plan(resolved, every, picked, done, rerun)
    open_cells, stale = {cell.id for cell, _ in found.work}, {cell.id for cell in found.stale}
    rows = [
        {
            "cell": cell.id,
            "estimator": cell.estimator,
            "estimator_params": cell.estimator_params,
            "objective": cell.objective,
            "objective_params": cell.objective_params,
            "distribution": cell.distribution,
            "distribution_params": cell.distribution_params,
            "point": cell.point,
            "coordinates": cell.coordinates,
            "dim": cell.dim,
            "samples": cell.samples,
            "state": (cell.reason and "not applicable") or ("to run" if cell.id in open_cells else "done"),
            "stale": cell.id in stale,
            "reason": cell.reason,
            "seconds": sum(found.cost.expected(cell, task) for task in planning.tasks_of(cell, resolved)),
        }
        for cell in picked
    ]
    seconds = found.cost.total(found.work, jobs or sweep.cores())
    return Outlook(pd.DataFrame(rows), seconds, folder, guessed=not found.cost.measured)


@dataclass(frozen=True)
class Status(InNotebooks):
    """How a run stands: tasks by status, tasks left, the slowest records, and what is odd about the files.

    `seconds_left` is the run's own estimate, `said` when it said so; both None where no run ever did.
    """

    counts: dict[str, int]
    left: int
    seconds_left: float | None
    said: str | None
    slowest: pd.DataFrame = field(repr=False)
    notes: list[str]

    def __rich__(self) -> object:
        return rich_tables.status(self, self.notes)


def status(folder: str | Path) -> Status:
    """How a run stands, also while it runs: reads, never writes. A shard's folder is about that shard."""
    folder = Path(folder)
    if folder.is_file():
        raise BadInput(f"{folder} is a file; say the folder of a run")
    if not folder.is_dir():
        raise BadInput(f"there is no folder {folder}")
    found, whole = read(folder, SCHEMA), own_plan(folder)
    if whole is None:
        raise BadInput(f"{folder} holds no run of gradest; `gradest run SUITE --out {folder}` starts one")
    latest = pd.DataFrame(list(shown(whole, found.latest())))
    total = sum(len(tasks) for tasks in whole.values())
    estimate = said(folder) or (None, None)
    if latest.empty:
        return Status({}, total, *estimate, latest, found.notes)
    columns = ["wall_s", "status", "task", "estimator", "objective", "distribution", "samples", "cell"]
    slowest = pd.DataFrame(latest.sort_values("wall_s", ascending=False)[columns].head(5))
    return Status(latest["status"].value_counts().to_dict(), total - len(latest), *estimate, slowest, found.notes)


def export(folder: str | Path, format: str) -> Path:
    """Writes the table next to the records, as `results.csv` or `results.parquet`."""
    if format not in FORMATS:
        raise BadInput(f"there is no format {format!r}; {nearest(format, FORMATS)}")
    frame, path = load(folder), Path(folder)
    target = (path if path.is_dir() else path.parent) / f"results.{format}"
    FORMATS[format](frame, target)
    return target


def measured_ceilings(device: str = "cpu", dtype: str = "float32") -> list[dict[str, Any]]:
    """What a device does at most, measured now; see `bench.ceilings`."""
    check_device(device)
    if dtype not in DTYPES:
        raise BadInput(f"there is no dtype {dtype!r}; {nearest(dtype, DTYPES)}")
    return ceilings.ceilings(device, DTYPES[dtype])


def folder_of(suite: str | Path | Suite, out: str | Path | None) -> Path:
    """Where a run lands."""
    if out is not None:
        return Path(out)
    if isinstance(suite, Suite):
        raise BadInput("say which folder the results go to: out=…")
    path = Path(suite)
    if path.stem == "..":  # of a file called ...toml
        raise BadInput(f"{path} is no name for a folder of results; say which: --out DIR")
    return path.parent if path.name == "config.toml" else Path("results") / path.stem
