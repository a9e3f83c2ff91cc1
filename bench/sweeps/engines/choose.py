"""The engines by name."""

from collections.abc import Callable

from bench.sweeps.engines.base import Engine
from bench.sweeps.worker import Setup
from estimators.errors import BadInput, nearest

ENGINES = ("local", "dask")


def known_engine(name: str) -> str:
    """The name of an engine, or the sentence that there is none."""
    if name not in ENGINES:
        raise BadInput(f"--engine {name!r} is not known; {nearest(name, ENGINES)}")
    return name


def open_engine(
    name: str, *, setup: Setup, jobs: int, limit: float, scheduler: str | None, log: Callable[[str], None]
) -> Engine:
    """The engine called `name`; a cell may take `limit` seconds."""
    if known_engine(name) == "dask":
        from bench.sweeps.engines.dask import Dask

        return Dask(setup, jobs, limit, scheduler, log)
    from bench.sweeps.engines.local import Local

    return Local(setup, jobs, limit)
