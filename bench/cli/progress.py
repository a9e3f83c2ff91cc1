"""Progress bars: shown only on a terminal, and removed when the work is done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from bench.cli.console import err
from bench.display.terminal import duration

if TYPE_CHECKING:
    from bench.advice.race import RaceStanding
    from bench.sweeps.run import Progress as SweepProgress


@contextmanager
def measuring(quiet: bool) -> Iterator["Callable[[SweepProgress], None]"]:
    """Shows the number of cells done, the total, and the time left."""
    columns = (TextColumn("measuring"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]} left"))
    with Progress(*columns, console=err, transient=True, disable=quiet or not err.is_terminal) as bar:
        task = bar.add_task("", total=None, left="")
        yield lambda run: bar.update(task, completed=run.done, total=run.total, left=duration(run.seconds_left))


@contextmanager
def racing() -> Iterator["Callable[[RaceStanding], None]"]:
    """Shows the share of the time spent, and the number of estimators still in the race."""
    columns = (TextColumn("racing"), BarColumn(), TextColumn("{task.fields[open]} still open"))
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=1.0, open="all")
        yield lambda race: bar.update(task, completed=race.spent, open=race.open)
