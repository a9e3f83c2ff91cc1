"""Finds results by the user's word for them: a folder, a table file, or the name of the suite that was run."""

from pathlib import Path

import pandas as pd

from estimators.errors import BadInput, nearest

RESULTS = Path("results")
"""The folder of all runs, with one folder per suite."""


def results_path(given: str | Path) -> Path:
    """The folder or the table file itself, or `results/<given>` for the name of a suite.

    Raises:
        BadInput: Neither exists; the message names existing results.
    """
    path = Path(given)
    if path.exists():
        return path
    is_name = path.parts == (path.name,)
    if is_name and (RESULTS / path).is_dir():
        return RESULTS / path
    more = f", {_no_results_of(path.name)}" if is_name and not path.suffix else ""
    raise BadInput(f"there is no folder or file {path}{more}")


def beside(results: str | Path | pd.DataFrame, name: str) -> Path:
    """The file called `name` in the folder of a run. Raises BadInput for a DataFrame, which has no folder."""
    if isinstance(results, pd.DataFrame):
        raise BadInput("a DataFrame has no folder; give the file to write: out=…")
    path = results_path(results)
    return (path if path.is_dir() else path.parent) / name


def run_folder(given: str | Path) -> Path:
    """The folder of a run, by its path or its suite's name. Raises BadInput for anything else."""
    path = results_path(given)
    if not path.is_dir():
        raise BadInput(f"{path} is a file; give the folder of a run")
    return path


def _no_results_of(name: str) -> str:
    """A clause that says that a suite has no results, and which suites have results."""
    known = [each.name for each in RESULTS.iterdir() if each.is_dir()] if RESULTS.is_dir() else []
    others = f"; {nearest(name, known)}" if known else ""
    return f"and no {RESULTS / name}, where `gradest run {name}` writes{others}"
