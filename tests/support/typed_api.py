"""Slips that a type checker must find: `make lint` fails where a comment below ignores nothing."""

# pyright: reportUnnecessaryTypeIgnoreComment=error

from pathlib import Path

import bench
import estimators


def slips() -> None:
    """Never called."""
    bench.rn("quick")  # pyright: ignore[reportAttributeAccessIssue]
    bench.run("quick", jbs=1)  # pyright: ignore[reportCallIssue]
    bench.run("quick", jobs="all")  # pyright: ignore[reportArgumentType]
    bench.compare("quick", bseline="reinforce")  # pyright: ignore[reportCallIssue]
    bench.report("quick").opn()  # pyright: ignore[reportAttributeAccessIssue]
    bench.plots.rankin()  # pyright: ignore[reportAttributeAccessIssue]
    estimators.gt("rloo")  # pyright: ignore[reportAttributeAccessIssue]


def right() -> tuple[str, str, Path]:
    """What is right has the types that it should have."""
    table = bench.load("quick")
    summary = bench.run("quick", "folder", jobs=1, where="samples == 2", plugin="mine.py")
    bench.compare(table, "core", where="samples == 2")
    bench.plots.ranking(table)
    return bench.__version__, estimators.__version__, summary.folder
