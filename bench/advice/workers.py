"""The process in which a user's code runs: a hang, a crash or too much memory costs that turn alone."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench.advice.workshop import ModelSource, Workshop
from bench.isolation.endings import OutOfMemory, Raised, Returned
from bench.isolation.process import Process
from bench.isolation.script import without_main
from bench.system.optional import free_memory
from estimators.errors import BadInput

LOADING = 300.0
"""Seconds that a model may take to load."""
SHARE_OF_MEMORY = 0.8
"""Of the memory that is free at the start, what the process may hold."""


class NoAnswer(RuntimeError):
    """A sentence: why a model could not be measured at all."""


class TaskFailed(Exception):
    """A sentence without its subject: how a task of one estimator ended. `lost`: the process ended with it."""

    def __init__(self, said: str, lost: bool = False) -> None:
        super().__init__(said)
        self.lost = lost


class Worker(ABC):
    """Does tasks on a model: `do("turn", turn, seconds=3.0)`. Raises TaskFailed, or BadInput for the user's mistake."""

    @abstractmethod
    def do(self, method: str, *arguments: Any, seconds: float) -> Any: ...

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def remember(self, **state: Any) -> None:
        """Stores what a fresh process must know after it has loaded the model: θ, and the road."""


@dataclass
class WorkerHere(Worker):
    """Does tasks in this process, without limits: for tests, and where no other process may be started."""

    source: ModelSource
    shop: Workshop | None = None

    def do(self, method: str, *arguments: Any, seconds: float) -> Any:
        if self.shop is None:
            self.shop = Workshop(self.source)
        try:
            return getattr(self.shop, method)(*arguments)
        except (Exception, SystemExit) as error:
            raise _failure(type(error).__name__, str(error), method) from error

    def close(self) -> None:
        self.shop = None

    def remember(self, **state: Any) -> None:
        """Nothing: the workshop stays."""


@dataclass
class WorkerProcess(Worker):
    """Does tasks in a process of their own, which is replaced when one takes too long, dies or eats the memory."""

    source: ModelSource
    _state: dict[str, Any] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._loaded = False
        with without_main():
            self._process = Process(serve_model, self.source, memory=memory_of_a_worker())

    def do(self, method: str, *arguments: Any, seconds: float) -> Any:
        if not self._loaded:
            self._end_of("load", (self._state,), LOADING)
            self._loaded = True
        return self._end_of(method, arguments, seconds)

    def _end_of(self, method: str, arguments: tuple[Any, ...], seconds: float) -> Any:
        with without_main():  # a process that dies is replaced
            ending = self._process.do((method, arguments), seconds)
        if isinstance(ending, Returned):
            return ending.value
        if isinstance(ending, Raised):
            raise _failure(ending.kind, ending.text, method)
        self._loaded = False
        if isinstance(ending, OutOfMemory):  # the next process would lack what this one holds
            with without_main():
                self._process.restart()
        raise TaskFailed(str(ending), lost=True)

    def close(self) -> None:
        self._process.close()

    def remember(self, **state: Any) -> None:
        self._state |= state


def _failure(kind: str, text: str, method: str) -> Exception:
    """A user's mistake in the model, or how an estimator's turn failed."""
    if kind == "BadInput":
        return BadInput(text) if method != "turn" else TaskFailed(text)
    return TaskFailed(f"{kind}: {' '.join(text.split())[:200]}")


def serve_model(source: ModelSource) -> Callable[[Any, Any], Any]:
    """Does a task in the process: loads the model first, then calls the workshop."""
    shops: list[Workshop] = []

    def action(task: tuple[str, tuple[Any, ...]], say: Any) -> Any:
        method, arguments = task
        if method == "load":
            shops[:] = [Workshop(source)]
            shops[0].restore(**arguments[0])
            return None
        try:
            return getattr(shops[0], method)(*arguments)
        except SystemExit as error:
            raise RuntimeError(f"SystemExit: {error}") from error

    return action


def memory_of_a_worker() -> int | None:
    """Bytes that the worker may hold; None with an accelerator, whose driver maps more than there is."""
    import torch

    if torch.accelerator.is_available():
        return None
    free = free_memory()
    return None if free is None else int(SHARE_OF_MEMORY * free)
