"""Where estimates come from: an array, a function, a Python file, a command; each gives chunks of equal size."""

import shlex
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from bench.audits.arrays import as_estimates, load_npy
from bench.audits.children import run_command, serve_draws
from bench.isolation.child import as_action
from bench.isolation.endings import Raised, Returned, TimedOut
from bench.isolation.process import Process
from bench.isolation.script import without_main
from bench.provenance.seeds import chunk_seed
from estimators.errors import BadInput

PLACES = ("{seed}", "{count}", "{file}")
"""What a command must hold; replaced by a number, a number, and the path of the `.npy` file that it has to write."""
STRIDE = 0x1E3779B1
"""Step between the seeds of two calls; odd, so that 2³¹ calls have different seeds, and large, so that they differ."""
CACHED = 2**28
"""Bytes of estimates that are kept to be read again."""
LOADING = 60.0
"""Seconds that a file may take to be imported, at least."""
FORMS = f"a file .npy, a file .py that defines draw(seed, count), or a command with {', '.join(PLACES)} in it"


@runtime_checkable
class DrawFunction(Protocol):
    """`draw(seed, count)` returns `count` independent estimates, `[count, P]`, that depend on the seed."""

    def __call__(self, seed: int, count: int, /) -> Any: ...


class Source(ABC):
    """A source of estimates.

    `name`: begins a sentence about it. `dim`: P. `single`: whether the estimates are float32. `rows`: how many there
    are; None without an end. `count`: estimates in a chunk, once it is chosen; `most`: at most so many by default.
    """

    name: str
    dim: int
    single: bool
    rows: int | None = None
    count: int = 0
    most: int = 1024

    @abstractmethod
    def chunk(self, index: int, deadline: float) -> Tensor | None:
        """Chunk `index`, float64 `[count, P]`; None if it is not there by `deadline` (`time.monotonic()`)."""

    def exact(self) -> Any:
        """The exact gradient that the source itself names; None without one."""
        return None

    def close(self) -> None:  # noqa: B027 (most sources have started nothing)
        """Ends what the source has started; safe to call twice."""

    def _learn(self, array: np.ndarray) -> None:
        self.dim, self.single = array.shape[1], array.dtype.itemsize == 4


class Rows(Source):
    """The rows of an array, in order."""

    def __init__(self, array: Any, name: str) -> None:
        self.name, self._array = name, as_estimates(array, name)
        self._learn(self._array)
        self.rows = len(self._array)

    def chunk(self, index: int, deadline: float) -> Tensor | None:
        rows = self._array[index * self.count : (index + 1) * self.count]
        return torch.from_numpy(np.array(rows, dtype=np.float64))


@dataclass
class Drawn(Source):
    """Estimates of `ask(seed, count, seconds)`, which returns an array, or None if that takes longer.

    `stage`: tells apart the seeds of several sources of one audit.
    """

    name: str
    ask: Callable[[int, int, float], Any]
    seed: int
    stage: str
    seconds: float
    ending: Callable[[], None] = lambda: None
    named: Any = None
    _kept: dict[int, Tensor] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._start = chunk_seed(self.seed, f"audit {self.stage}", 0)
        array = self._asked(-2, 2, self.seconds)
        if array is None:
            raise BadInput(f"{self.name} did not give 2 estimates within {self.seconds:g} s; seconds sets the limit")
        self._learn(array)

    def chunk(self, index: int, deadline: float) -> Tensor | None:
        if index in self._kept:
            return self._kept[index]
        left = deadline - time.monotonic()
        array = self._asked(index, self.count, left) if left > 0 else None
        if array is None:
            return None
        found = torch.from_numpy(np.array(array, dtype=np.float64))
        if (len(self._kept) + 1) * found.nbytes <= CACHED:
            self._kept[index] = found
        return found

    def exact(self) -> Any:
        return self.named

    def close(self) -> None:
        self.ending()

    def _asked(self, index: int, count: int, seconds: float) -> np.ndarray | None:
        seed = (self._start + index * STRIDE) % 2**31
        found = self.ask(seed, count, seconds)
        where = f"what {self.name} gives for seed {seed} and count {count}"
        return None if found is None else as_estimates(found, where, count, getattr(self, "dim", None))


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
        return Drawn(f"the function {name}", lambda own, count, _: function(own, count), seed, name, seconds)
    return Rows(given, f"the array {name}")


def _from_text(text: str, name: str, seed: int, seconds: float) -> Source:
    """The source of a path or a command."""
    missing = [place for place in PLACES if place not in text]
    if not missing:
        return _command(text, name, seed, seconds)
    if len(missing) < len(PLACES):
        raise BadInput(f"the command {text!r} must hold {', '.join(PLACES)}; {missing[0]} is missing")
    if text.endswith(".npy"):
        return Rows(load_npy(text), text)
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
        exact = _answer(process, ("exact",), max(seconds, LOADING), path)
        return Drawn(path, ask, seed, name, seconds, close, exact)


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
        return load_npy(file)

    def ending() -> None:
        close()
        folder.cleanup()

    with _closed_on_error(ending):
        source = Drawn(said, ask, seed, name, seconds, ending)
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
