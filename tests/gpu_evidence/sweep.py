"""A sweep whose table is on the disk all along, and not only when it ends."""

import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import bench
from bench.suites.suite import Suite
from estimators.errors import BadInput
from tests.gpu_evidence.files import written

EVERY = 3.0
"""Seconds between two looks at the table at least."""


def measured(suite: Suite, parts: Iterable[str], target: Path) -> None:
    """Measures the cells of each filter in turn, and keeps the table of all that is there in `target`."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, suite_name(target))
        last = time.monotonic()

        def show(_: object) -> None:
            nonlocal last
            if time.monotonic() > last + EVERY:
                keep(run, target)
                last = time.monotonic()

        for where in parts:
            summary = bench.run(suite, run, where=where, jobs=1, show=show)
            print(f"{where}: {summary.counts}", *summary.failed, *summary.notes, sep="\n  ", flush=True)
            keep(run, target)
            if summary.interrupted:
                break


def suite_name(target: Path) -> str:
    """What the table calls the run: the file's name without its suffix."""
    return target.name.partition(".")[0]


def keep(folder: Path, target: Path) -> None:
    """The table of the folder's records as it is now; nothing where there is none yet."""
    with suppress(BadInput):
        table = bench.load(folder)
        written(target, table.to_parquet)
