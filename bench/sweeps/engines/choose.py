"""The engines by name; one is imported when it is opened, since it may need a package that not everybody has."""

from importlib import import_module

from bench.sweeps.engines.base import Engine, Options
from estimators.errors import BadInput, nearest

ENGINES = {
    "local": "bench.sweeps.engines.local:Local",
    "dask": "bench.sweeps.engines.dask:Dask",
}
"""Where the class of each engine stands."""


def known_engine(name: str) -> str:
    """The name of an engine, or the sentence that there is none."""
    if name not in ENGINES:
        raise BadInput(f"--engine {name!r} is not known; {nearest(name, ENGINES)}")
    return name


def open_engine(name: str, options: Options) -> Engine:
    """The engine called `name`, ready to measure.

    Raises:
        BadInput: there is none of this name, or what it needs is not there.
    """
    module, kind = ENGINES[known_engine(name)].split(":")
    return getattr(import_module(module), kind)(options)
