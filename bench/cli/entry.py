"""The entry point of the command: imports nothing heavy before Ctrl-C is answered by a sentence."""

import os
import sys


def main() -> None:
    """Runs the command `gradest`; Ctrl-C at any moment ends it with one sentence and exit code 130."""
    _with_streams()
    try:
        from bench.cli.main import main as command

        command()
    except KeyboardInterrupt:
        os.write(2, b"gradest: interrupted\n")
        sys.exit(130)


def _with_streams() -> None:
    """Opens closed standard streams on nothing: files and pipes opened later would take their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


if __name__ == "__main__":
    main()
