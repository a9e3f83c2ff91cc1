"""The entry point of the command: imports nothing heavy before Ctrl-C is answered by a sentence."""

import os
import sys
from pathlib import Path
from typing import NoReturn


def main() -> None:
    """Runs the command `gradest`; Ctrl-C at any moment ends it with one sentence and exit code 130."""
    _with_streams()
    try:
        Path.cwd()
    except OSError:
        _end("the working directory was removed; change to one that exists", 2)
    try:
        from bench.cli.main import main as command

        command()
    except KeyboardInterrupt:
        _end("interrupted", 130)
    except (MemoryError, ImportError, OSError, RuntimeError) as error:
        from bench.isolation.endings import about_memory

        if not about_memory(error):
            raise
        _end(f"the memory that this process may have (ulimit -v, a container's limit) is too small: {error!r}", 2)


def _end(sentence: str, code: int) -> NoReturn:
    os.write(2, f"gradest: {sentence}\n".encode("utf-8", "backslashreplace"))
    sys.exit(code)


def _with_streams() -> None:
    """Opens closed standard streams on nothing: files and pipes opened later would take their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


if __name__ == "__main__":
    main()
