"""One call in a separate process."""

from math import inf

import pytest

from bench.isolation.call import call
from bench.isolation.endings import Died, OutOfMemory, Raised, Returned, TimedOut, about_memory
from estimators.errors import BadInput
from tests.support import tasks


def test_a_call_returns_what_the_function_does_or_says_how_it_ended(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("here")
    assert call(tasks.reads, path) == Returned("here")
    assert call(tasks.leaves, None) == Died(0, "")
    assert call(tasks.hangs, str, seconds=0.01) == TimedOut(0.01)
    missing = call(tasks.reads, tmp_path / "none")
    assert isinstance(missing, Raised) and missing.kind == "FileNotFoundError"
    assert isinstance(call(tasks.greedy, None, memory=2**31), OutOfMemory)


def test_a_process_starts_with_nothing_that_takes_long():
    """What a task needs, such as torch, is imported with it: after the process has begun to watch its parent."""
    assert call(tasks.heavy) == Returned(([], True))


def test_the_limit_of_memory_is_no_more_than_the_system_allows():
    assert call(tasks.allowed, 2**34, 2**33) == Returned((2**33, 2**33))
    assert call(tasks.allowed, 2**32, 2**33) == Returned((2**32, 2**32))


class Gone:
    """Loads nowhere."""

    def __reduce__(self):
        return (__import__, ("no_module_of_this_name",))

    def __call__(self):
        """A function, as far as anyone can tell here."""


def test_what_does_not_load_there():
    ending = call(str, Gone())
    assert isinstance(ending, Raised) and ending.kind == "ModuleNotFoundError"
    with pytest.raises(BadInput, match="a worker cannot start: ModuleNotFoundError"):
        call(Gone())


def test_endings_in_words():
    assert str(TimedOut(3.0)) == "took longer than 3 s"
    assert str(Died(-11)) == "died with exit code -11"
    assert str(Died(1, "a\nb\n")) == "died with exit code 1: b"
    assert str(Raised("KeyError", "")) == "KeyError"
    assert str(Raised("BadInput", "there is no such file")) == "there is no such file"
    assert str(OutOfMemory("8 bytes")) == "out of memory: 8 bytes"
    assert str(Returned(inf)) == "returned inf"


def test_errors_about_memory():
    told = [MemoryError(), RuntimeError("std::bad_alloc"), type("OutOfMemoryError", (RuntimeError,), {})("CUDA")]
    assert all(map(about_memory, told)) and not about_memory(RuntimeError("shapes do not fit"))
