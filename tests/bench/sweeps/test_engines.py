"""The engines: each is one file and one line, none speaks another's words, and all measure alike."""

import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

from bench.sweeps import engines
from bench.sweeps.engines.base import Engine, Options
from bench.sweeps.engines.choose import ENGINES, open_engine
from bench.sweeps.run import run
from estimators.errors import BadInput


def classes():
    """Every engine in bench/sweeps/engines/, as its line in ENGINES would name it."""
    for each in pkgutil.iter_modules(engines.__path__, f"{engines.__name__}."):
        module = importlib.import_module(each.name)
        for name, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, Engine) and kind.__module__ == each.name and not inspect.isabstract(kind):
                yield f"{each.name}:{name}"


def test_every_engine_can_be_chosen_and_is_in_the_help():
    for home in classes():
        assert home in ENGINES.values(), f"{home} is an engine: give it a line in ENGINES (engines/choose.py)"
    assert set(ENGINES.values()) == set(classes())
    (said,) = [line for line in str(run.__doc__).splitlines() if line.strip().startswith("engine:")]
    for name in ENGINES:
        assert name in said, f"the words on `engine` (`run` in bench/sweeps/run.py) do not name {name!r}"


def test_what_every_engine_needs_is_free_of_one_engines_words():
    folder = Path(engines.__path__[0])
    for name in ("base", "elsewhere", "isolated", "local"):
        assert "dask" not in (folder / f"{name}.py").read_text(encoding="utf-8").lower(), name


class Nowhere(Engine):
    """Stands in for an engine from one file."""

    def width(self):
        return self.options.jobs

    def measure(self, cells, task):
        yield []

    def close(self):
        pass


def test_an_engine_is_a_class_and_a_line(monkeypatch):
    monkeypatch.setitem(ENGINES, "nowhere", f"{__name__}:Nowhere")
    assert open_engine("nowhere", Options(jobs=3)).width() == 3
    with pytest.raises(BadInput, match="did you mean 'nowhere'"):
        open_engine("nowere", Options())
