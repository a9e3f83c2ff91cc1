"""Takes parts of the operating system away before anything else is imported: those that `GRADEST_MASKED` names.

Python imports this module where its folder is on the path: in a command, and in every process that it starts.
"""

import os
import sys
from typing import Any

MASKED = os.environ.get("GRADEST_MASKED", "").split()


def without_proc() -> None:
    """No Python code of this process finds a file under /proc."""
    stat = os.stat

    def absent(path: Any) -> bool:
        return isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path).startswith("/proc")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("open", "os.listdir", "os.scandir") and absent(arguments[0]):
            raise FileNotFoundError(2, "masked", os.fsdecode(arguments[0]))

    def masked_stat(path: Any, *more: Any, **named: Any) -> os.stat_result:
        if absent(path):
            raise FileNotFoundError(2, "masked", os.fsdecode(path))
        return stat(path, *more, **named)

    sys.addaudithook(hook)
    os.stat = masked_stat  # type: ignore[assignment]


for module in ("resource", "fcntl"):
    if module in MASKED:
        sys.modules[module] = None  # type: ignore[assignment]
if "fork" in MASKED:
    del os.fork
if "/proc" in MASKED:
    without_proc()
