"""What a task left behind is found, and what it did not change is not."""

import os
import sys
import threading
from types import ModuleType

import pytest

from bench.isolation import leftovers
from bench.isolation.leftovers import OBSERVED, Leftovers
from bench.isolation.patches import Patches


def test_nothing_is_found_where_nothing_was_left():
    before = Leftovers()
    threading.Thread(target=len, args=([],)).run()
    assert before.found() == []


def test_a_thread_and_an_open_file_are_found_until_they_end():
    before, ends = Leftovers(), threading.Event()
    thread = threading.Thread(target=ends.wait)
    thread.start()
    opened = os.open(os.devnull, os.O_RDONLY)
    assert before.found() == ["a thread", "open or closed files"]
    os.close(opened)
    ends.set()
    thread.join()
    assert before.found() == []


def test_what_cannot_be_read_any_more_was_changed(monkeypatch):
    before = Leftovers()
    monkeypatch.setitem(OBSERVED, "a thread", lambda: 1 / 0)
    assert before.found() == ["a thread"] and leftovers.OBSERVED is OBSERVED


SOURCE = """
class Base:
    def value(self): return 1
class Own(Base):
    size = 3
    @staticmethod
    def count(): return 2
    @property
    def name(self): return "own"
def function(x=1): return x
TABLE = {"own": Own}
counter = 0
"""


@pytest.fixture
def module(monkeypatch):
    made = ModuleType("patched_module")
    exec(SOURCE, vars(made))
    for each in (made.Base, made.Own):
        each.__module__ = made.__name__
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made


def replaces_code(module):
    module.function.__code__ = (lambda x: 2 * x).__code__


PATCHES = [
    ("function", lambda module: setattr(module, "function", len)),
    ("function", replaces_code),
    ("Own.value", lambda module: setattr(module.Own, "value", lambda self: 2)),
    ("Base.value", lambda module: setattr(module.Base, "value", lambda self: 2)),
    ("Own.size", lambda module: setattr(module.Own, "size", 4)),
    ("Own.count", lambda module: setattr(module.Own, "count", staticmethod(lambda: 3))),
    ("Own.name", lambda module: delattr(module.Own, "name")),
    ("TABLE.own", lambda module: module.TABLE.update(own=module.Base)),
    ("Own", lambda module: delattr(module, "Own")),
]


@pytest.mark.parametrize(("name", "patch"), PATCHES)
def test_a_patch_is_found(module, name, patch):
    patches = Patches([module.__name__])
    module.counter += 1
    module.TABLE["new"] = module.Base
    assert patches.found() == []
    patch(module)
    assert [each.removeprefix("patched_module.") for each in patches.found()] == [name]


def test_a_module_that_is_imported_later_is_watched_from_the_next_look(module, monkeypatch):
    patches = Patches([f"{module.__name__}.*"])
    inner = ModuleType("patched_module.inner")
    vars(inner)["function"] = module.function
    monkeypatch.setitem(sys.modules, inner.__name__, inner)
    patches.look()
    vars(inner)["function"] = len
    assert patches.found() == ["patched_module.inner.function"]
