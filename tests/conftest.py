"""Shapes in types are checked by beartype, except where `GRADEST_NO_SHAPES=1` says not to: where code compiles, and in
most of `make test` (`SHAPED` in the Makefile)."""

import gc
import multiprocessing
import os
from collections.abc import Generator, Iterator

import pytest

from tests.support import seeding, shapes
from tests.support.plugins import plugins_forgotten

collect_ignore = ["support/bad_cells.py"]
"""Plug-ins that misbehave: only the workers of their own tests load them."""

if not os.environ.get("GRADEST_NO_SHAPES"):
    shapes.install()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Garbage is collected after the tests: in between it would look through torch and thousands of tests again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Before the first test: what is imported stays, seeds are cheap, and freed memory is kept for the next tensor."""
    from bench.system.optional import keep_freed_memory

    gc.freeze()
    seeding.stacks_not_kept()
    keep_freed_memory()


@pytest.fixture(scope="module", autouse=True)
def no_plugin_outlives_its_module() -> Iterator[None]:
    """What a module's tests register is forgotten after it: some estimators end the process, and others race them."""
    with plugins_forgotten():
        yield


@pytest.fixture(scope="module")
def forked_workers() -> Iterator[None]:
    """Workers are forked from a process that has imported torch, which each of them would do in two to three seconds.

    For tests of what a sweep makes of its workers' answers and deaths. How workers start is tested without it: by
    tests/bench/isolation, and by all tests that run the command as a process.
    """
    forking = multiprocessing.get_context("forkserver")
    forking.set_forkserver_preload(["tests.support.preloaded"])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("bench.isolation.process.SPAWN", forking)
        yield
