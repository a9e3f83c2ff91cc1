"""Plans a run without running it: its cells and the expected time."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from rich.console import Group, RenderableType
from rich.text import Text

from bench.display.notebook import InNotebooks
from bench.display.terminal import MAX_ROWS, duration, frame
from bench.plugins.files import load_files
from bench.provenance.cores import processes
from bench.suites.grid import suite_cells
from bench.suites.suite import Suite
from bench.sweeps.planning import known_rerun, pick, planned_work, resolve, tasks_of
from bench.sweeps.run import folder_of
from bench.tables.columns import SCHEMA
from bench.tables.records import Records, read_records
from estimators.deprecation import renamed


def outlook_view(found: "Outlook", most: int = MAX_ROWS) -> RenderableType:
    """Renders a plan: its first cells, the reasons of cells that are not applicable, counts, and the expected time."""
    cells = found.cells
    columns = ["estimator", "estimator_params", "objective", "distribution", "point", "samples", "state"]
    shown = cells.filter(columns).head(most)
    title = f"{len(cells)} cells" + (f", the first {most}" if len(shown) < len(cells) else "")
    skipped = cells[cells["reason"] != ""].groupby("reason", sort=False).size() if len(cells) else {}
    counts = [f"{count} {state}" for state, count in cells["state"].value_counts().items()] if len(cells) else []
    counts += [f"{sum(cells['stale'])} stale"] if len(cells) and cells["stale"].any() else []
    guess = ", a guess: no similar cell has been measured yet" if found.guessed and found.seconds else ""
    return Group(
        frame(shown, title),
        *(Text(f"{count} not applicable: {reason}") for reason, count in skipped.items()),
        Text(", ".join(counts) or "no cells"),
        Text(f"expected time: {duration(found.seconds)}" + guess),
    )


@dataclass(frozen=True)
class Outlook(InNotebooks):
    """What a run would do.

    `cells`: one row per cell with its identity, state, reason and expected seconds. `seconds`: expected total.
    `folder`: folder of the results. `guessed`: True when no earlier record supports the estimate.
    """

    cells: pd.DataFrame = field(repr=False)
    seconds: float
    folder: Path
    guessed: bool = False

    def __rich__(self) -> object:
        return outlook_view(self)


@renamed("plugins", "plugin", until="0.3")
def plan(
    suite: str | Path | Suite,
    out: str | Path | None = None,
    *,
    where: str | None = None,
    jobs: int | None = None,
    device: str | None = None,
    seed: int | None = None,
    rerun: str = "missing",
    plugin: str | Path | Iterable[str | Path] = (),
    force: bool = False,
) -> Outlook:
    """Says what `run` would do: cells to measure, cells done, cells that do not fit and why, the expected time.

    Args:
        suite: A built-in suite, or a TOML file.
        out: Folder whose finished cells count as done. Default: results/SUITE.
        where: Plans only these cells, e.g. 'estimator == "rloo" and samples >= 4'.
        jobs: Number of worker processes. Default: one per core.
        device: cpu, cuda, cuda:1, … Default: as the suite says.
        seed: Replaces the suite's seed.
        rerun: Which cells are measured again: missing, failed, stale (measured from other source code) or all.
        plugin: Python file that registers plug-ins; several are allowed.
        force: Measures pairs that do not fit, too.

    Raises:
        BadInput: An argument or the suite is wrong.
    """
    load_files(plugin)
    known_rerun(rerun)
    workers = processes(jobs)
    resolved, folder = resolve(suite, device=device, seed=seed), folder_of(suite, out)
    every = suite_cells(resolved, force=force)
    picked = pick(every, where)
    done = read_records(folder, SCHEMA) if folder.is_dir() else Records([], [])
    found = planned_work(resolved, every, picked, done, rerun)
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
            "seconds": sum(found.cost.expected(cell, task) for task in tasks_of(cell, resolved)),
        }
        for cell in picked
    ]
    seconds = found.cost.total(found.work, workers)
    return Outlook(pd.DataFrame(rows), seconds, folder, guessed=not found.cost.measured)
