"""How a task in another process ended; `str(ending)` is a description in words."""

import errno
import traceback
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Returned:
    """The task returned `value`."""

    value: Any

    def __str__(self) -> str:
        return f"returned {self.value!r}"


@dataclass(frozen=True)
class Raised:
    """The task raised an error: `kind` is the name of its class, `text` its message, `trace` the printed traceback.

    The error object itself is not sent, because not every error can be pickled.
    """

    kind: str
    text: str
    trace: str = ""

    @classmethod
    def of(cls, error: BaseException) -> "Raised":
        """Describes an error, in the process that caught it."""
        return cls(type(error).__name__, message(error), "".join(traceback.format_exception(error))[-TRACE:])

    def __str__(self) -> str:
        """The message of a `BadInput`, which is a complete sentence; for any other error, its class and its message."""
        if self.kind == "BadInput":
            return self.text
        return f"{self.kind}: {self.text}" if self.text else self.kind


@dataclass(frozen=True)
class OutOfMemory:
    """The task asked for more memory than it could get; `text` is the error message."""

    text: str

    def __str__(self) -> str:
        return f"out of memory: {self.text}"


@dataclass(frozen=True)
class TimedOut:
    """The task took longer than `seconds` and was killed."""

    seconds: float

    def __str__(self) -> str:
        return f"took longer than {self.seconds:g} s"


@dataclass(frozen=True)
class Died:
    """The process ended during the task: by itself, by a signal (`code` is minus its number), or killed from outside.

    `code` is None if it is not known. `printed`: the last output of the process during the task.
    """

    code: int | None
    printed: str = ""

    def __str__(self) -> str:
        lines = self.printed.strip().splitlines()
        return f"died with exit code {self.code}{f': {_visible(lines[-1].strip()[:300])}' if lines else ''}"


@dataclass(frozen=True)
class Garbled:
    """The process's pipe carried something else than an answer to the task: the process was replaced."""

    def __str__(self) -> str:
        return "sent something that is not the answer to its task"


MESSAGE, TRACE = 2000, 20_000
"""Characters kept of an error's message, and of its traceback."""


def _visible(text: str, keep: str = "") -> str:
    """`estimators.text.visible`, imported where a character does not print: with it comes torch, which takes long."""
    if "".join(each for each in text if each not in keep).isprintable():
        return text
    from estimators.text import visible

    return visible(text, keep)


def message(error: BaseException) -> str:
    """The message of an error, cut to `MESSAGE` characters; a sentence about errors whose message cannot be made."""
    try:
        text = str(error)
    except BaseException as inner:
        return f"its message cannot be shown: {type(inner).__name__}"
    text = _visible(text, keep="\n\t")
    return text if len(text) <= MESSAGE else f"{text[:MESSAGE]} …"


Failure = Raised | OutOfMemory | TimedOut | Died | Garbled
Ending = Returned | Failure


def about_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out. Torch's allocator on a CPU raises a plain RuntimeError.

    >>> about_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"))
    True
    """
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    full = isinstance(error, OSError) and error.errno == errno.ENOMEM
    return named or full or any(sign in message(error) for sign in SIGNS)


SIGNS = (
    *("can't allocate memory", "std::bad_alloc", "Memory allocation still failed"),
    *("failed to map segment", "Cannot allocate memory", "cannot allocate memory"),
)
"""Messages of torch's allocator, of C++, of OpenBLAS, of the loader of libraries and of OpenMP when memory runs out."""
