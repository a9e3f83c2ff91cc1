"""How a task in another process ended; `str(ending)` says it in words."""

import traceback
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Returned:
    """It returned `value`."""

    value: Any

    def __str__(self) -> str:
        return f"returned {self.value!r}"


@dataclass(frozen=True)
class Raised:
    """It raised an error of the class named `kind`; `text` is its message, `trace` the traceback as Python prints it.

    The error itself does not travel: not every error survives pickle.
    """

    kind: str
    text: str
    trace: str = ""

    @classmethod
    def of(cls, error: BaseException) -> "Raised":
        """What is told of an error, in the process that caught it."""
        return cls(type(error).__name__, str(error), "".join(traceback.format_exception(error)))

    def __str__(self) -> str:
        """What a person did wrong (`BadInput`) is a sentence already; any other error is said with its kind."""
        if self.kind == "BadInput":
            return self.text
        return f"{self.kind}: {self.text}" if self.text else self.kind


@dataclass(frozen=True)
class OutOfMemory:
    """It asked for more memory than it could have; `text` is what said so."""

    text: str

    def __str__(self) -> str:
        return f"out of memory: {self.text}"


@dataclass(frozen=True)
class TimedOut:
    """It took longer than its `seconds`, and was killed."""

    seconds: float

    def __str__(self) -> str:
        return f"took longer than {self.seconds:g} s"


@dataclass(frozen=True)
class Died:
    """Its process ended: by itself, by a signal (`code` is minus its number), or killed from outside.

    `code` is None where nobody could ask for it. `printed`: the end of what the process printed during the task.
    """

    code: int | None
    printed: str = ""

    def __str__(self) -> str:
        lines = self.printed.strip().splitlines()
        return f"died with exit code {self.code}{f': {lines[-1].strip()[:300]}' if lines else ''}"


Failure = Raised | OutOfMemory | TimedOut | Died
Ending = Returned | Failure


def about_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory left. Torch's allocator on a CPU raises a plain RuntimeError.

    >>> about_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"))
    True
    """
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or any(sign in str(error) for sign in SIGNS)


SIGNS = ("can't allocate memory", "std::bad_alloc")
"""What torch's allocator and C++ say where there is no memory left."""
