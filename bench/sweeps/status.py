"""The status of a run: tasks done, failed and left."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from rich.console import Group, RenderableType
from rich.text import Text

from bench.display.notebook import InNotebooks
from bench.display.terminal import duration, frame
from bench.sweeps.shards import own_plan
from bench.tables.columns import SCHEMA
from bench.tables.folder import planned_records, stated_seconds_left
from bench.tables.records import read_records
from bench.tables.results import run_folder
from estimators.errors import BadInput


@dataclass(frozen=True)
class Status(InNotebooks):
    """The status of a run.

    `counts`: tasks by status. `left`: tasks that are not done. `seconds_left`: the run's own estimate, and `said`: the
    time of this estimate; both None if there is none. `slowest`: the slowest records. `notes`: remarks about the files.
    """

    counts: dict[str, int]
    left: int
    seconds_left: float | None
    said: str | None
    slowest: pd.DataFrame = field(repr=False)
    notes: list[str]

    def __rich__(self) -> object:
        return status_view(self, self.notes)


def status(results: str | Path) -> Status:
    """Says how a run stands, also while it runs: tasks done, failed and left, time left, and the slowest cells.

    Reads and never writes. In the folder of a shard, only the cells of the shard count.

    Args:
        results: Name of the suite, or folder of the run.

    Raises:
        BadInput: There is no such folder, or it holds no run.
    """
    folder = run_folder(results)
    found, whole = read_records(folder, SCHEMA), own_plan(folder)
    if whole is None:
        raise BadInput(f"{folder} holds no run of gradest; `gradest run SUITE --out {folder}` starts one")
    latest = pd.DataFrame(list(planned_records(whole, found.latest())))
    total = sum(len(tasks) for tasks in whole.values())
    estimate = stated_seconds_left(folder) or (None, None)
    if latest.empty:
        return Status({}, total, *estimate, latest, found.notes)
    columns = ["wall_s", "status", "task", "estimator", "objective", "distribution", "samples", "cell"]
    slowest = pd.DataFrame(latest.sort_values("wall_s", ascending=False)[columns].head(5))
    return Status(latest["status"].value_counts().to_dict(), total - len(latest), *estimate, slowest, found.notes)


def status_view(found: "Status", notes: Sequence[str] = ()) -> RenderableType:
    """Renders the status of a run: notes, counts, time left, and the slowest cells."""
    parts: list[RenderableType] = [Text(f"note: {note}", style="yellow") for note in notes]
    parts.append(Text(", ".join([*(f"{count} {name}" for name, count in found.counts.items()), f"{found.left} left"])))
    if found.left and found.seconds_left:
        parts.append(Text(f"{duration(found.seconds_left)} left, as the run estimated at {found.said}"))
    return Group(*parts, *([frame(found.slowest, "slowest")] if len(found.slowest) else []))
