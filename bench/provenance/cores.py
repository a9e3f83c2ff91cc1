"""How many processes work side by side."""

import os

from estimators.errors import BadInput


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def processes(jobs: int | None) -> int:
    """`jobs`, or one process per core if None. Raises BadInput below 1."""
    if jobs is None:
        return cores()
    if jobs < 1:
        raise BadInput(f"jobs must be at least 1, found {jobs}")
    return jobs
