"""The engines by name. An engine is imported only when it is opened, because it may need an optional package."""

from importlib import import_module

from bench.sweeps.engines.base import Engine, Options
from estimators.errors import BadInput, nearest

ENGINES = {
    "local": "bench.sweeps.engines.local:Local",
    "dask": "bench.sweeps.engines.dask:Dask",
}
"""The module and class of each engine."""


def known_engine(name: str) -> str:
    """Returns `name`; raises BadInput if no such engine exists."""
    if name not in ENGINES:
        raise BadInput(f"--engine {name!r} is not known; {nearest(name, ENGINES)}")
    return name


def open_engine(name: str, options: Options) -> Engine:
    """Opens the engine called `name`.

    Raises:
        BadInput: No such engine exists, or a package that it needs is missing.
    """
    module, kind = ENGINES[known_engine(name)].split(":")
    return getattr(import_module(module), kind)(options)
