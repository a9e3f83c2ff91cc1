"""Number of CPU cores, and number of parallel processes."""

from bench.system.optional import usable_cores
from estimators.errors import whole_number


def cores() -> int:
    """Returns the number of CPU cores that this process may use."""
    return usable_cores()


def processes(jobs: int | None) -> int:
    """Returns `jobs`. Default: one process per core. Raises BadInput if `jobs` is below 1."""
    return cores() if jobs is None else whole_number(1, "jobs", jobs)
