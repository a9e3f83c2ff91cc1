"""How many processes work side by side."""

import os

from estimators.errors import at_least


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def processes(jobs: int | None) -> int:
    """`jobs`, or one process per core if None. Raises BadInput below 1."""
    return cores() if jobs is None else at_least(1, "jobs", jobs)
