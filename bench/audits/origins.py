"""The source of what a user gives: an array, a function, a `.npy` file, a Python file, or a command."""

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from torch import Tensor

from bench.audits.arrays import load_npy
from bench.audits.children import run_command, serve_draws
from bench.audits.sources import ArraySource, CalledSource, DrawFunction, Source
from bench.isolation.child import as_action
from bench.isolation.endings import Raised, Returned, TimedOut
from bench.isolation.process import Process
from bench.isolation.script import without_main
from estimators.errors import BadInput

PLACEHOLDERS = ("{seed}", "{count}", "{file}")
"""What a command must hold; replaced by a number, a number, and the path of the `.npy` file that it has to write."""
IMPORTING = 60.0
"""Seconds that a file may take to be imported, at least."""
FORMS = f"a file .npy, a file .py that defines draw(seed, count), or a command with {', '.join(PLACEHOLDERS)} in it"


def source_of(given: Any, name: str, seed: int, seconds: float) -> Source:
    """The source of what a user gives.

    Args:
        given: An array `[R, P]`, a function, the path of a `.npy` or `.py` file, or a command.
        name: The argument's name: draw, or against. It also tells the seeds of two sources apart.
        seed: Of all draws.
        seconds: Time limit of a call.

    Raises:
        BadInput: It is none of these, or its first estimates have a wrong shape or dtype.
    """
    if isinstance(given, str | Path):
        return _from_text(str(given), name, seed, seconds)
    if isinstance(given, DrawFunction) and not isinstance(given, Tensor | np.ndarray):
        function: DrawFunction = given
        return CalledSource(f"the function {name}", partial(_called, function, name), seed, name, seconds)
    return ArraySource(given, f"the array {name}")


def _called(function: DrawFunction, name: str, own: int, count: int, seconds: float) -> Any:
    """What a function gives, which is never None: that stands for a call that takes too long."""
    found = function(own, count)
    if found is None:
        raise BadInput(f"the function {name} returns None for seed {own} and count {count}; an array is right")
    return found


def _from_text(text: str, name: str, seed: int, seconds: float) -> Source:
    """The source of a path or a command."""
    missing = [place for place in PLACEHOLDERS if place not in text]
    if not missing:
        return _command(text, name, seed, seconds)
    if len(missing) < len(PLACEHOLDERS):
        raise BadInput(f"the command {text!r} must hold {', '.join(PLACEHOLDERS)}; {missing[0]} is missing")
    if text.endswith(".npy"):
        return ArraySource(load_npy(text), text)
    if text.endswith(".py"):
        return _file(text, name, seed, seconds)
    raise BadInput(f"{name} must be {FORMS}; found {text!r}")


def _file(path: str, name: str, seed: int, seconds: float) -> Source:
    """A Python file that defines `draw`, imported in a separate process."""
    if not Path(path).is_file():
        raise BadInput(f"there is no file {path}; it should define draw(seed, count)")
    process, close = _started(serve_draws, path)

    def ask(own: int, count: int, limit: float) -> Any:
        return _answer(process, ("draw", own, count), limit, path)

    with _closed_on_error(close):
        exact = _answer(process, ("exact",), max(seconds, IMPORTING), path)
        return CalledSource(path, ask, seed, name, seconds, close, exact)


def _command(text: str, name: str, seed: int, seconds: float) -> Source:
    """A command that writes its estimates into a file."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise BadInput(f"the command {text!r} cannot be split into words: {error}") from None
    said = f"the command {text!r}"
    (process, close), folder = _started(as_action, run_command), TemporaryDirectory(prefix="gradest-audit-")

    def ask(own: int, count: int, limit: float) -> Any:
        file = Path(folder.name) / "estimates.npy"
        file.unlink(missing_ok=True)
        values = {"{seed}": str(own), "{count}": str(count), "{file}": str(file)}
        failed = _answer(process, ([_filled(word, values) for word in words],), limit, said)
        if failed is None:
            return None
        if failed:
            raise BadInput(f"{said} {failed}")
        if not file.is_file():
            raise BadInput(f"{said} did not write the file that it was given as {{file}}")
        try:
            return load_npy(file)
        except BadInput:
            raise BadInput(
                f"{said} wrote something else than a .npy file of numbers, as numpy.save writes it"
            ) from None

    def ending() -> None:
        close()
        folder.cleanup()

    with _closed_on_error(ending):
        source = CalledSource(said, ask, seed, name, seconds, ending)
    source.most = 8192  # starting a command takes long
    return source


def _filled(word: str, values: dict[str, str]) -> str:
    """A word of a command with its places filled."""
    for place, value in values.items():
        word = word.replace(place, value)
    return word


def _started(start: Callable[..., Any], *arguments: Any) -> tuple[Process, Callable[[], None]]:
    """A process, and the function that ends it."""
    with without_main():
        process = Process(start, *arguments)
    return process, process.close


def _answer(process: Process, task: tuple[Any, ...], seconds: float, said: str) -> Any:
    """What a process returns for a task; None if it takes longer. Raises BadInput for any other ending."""
    with without_main():  # a process that dies is replaced
        ended = process.do(task, seconds)
    if isinstance(ended, TimedOut):
        return None
    if isinstance(ended, Returned):
        return ended.value
    if isinstance(ended, Raised) and ended.kind == "BadInput":
        raise BadInput(ended.text)
    raise BadInput(f"{said}: {' '.join(str(ended).split())[:400]}")


@contextmanager
def _closed_on_error(close: Callable[[], None]) -> Iterator[None]:
    """Calls `close` if the block raises."""
    try:
        yield
    except BaseException:
        close()
        raise
