"""The command in a separate process that has not to import torch: it is forked from one that has."""

import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.support.sweeps import Finished

FORKING = multiprocessing.get_context("forkserver")


def gradest_forked(*arguments: object, folder: Path, packages: Sequence[Path] = ()) -> Finished:
    """The command in `folder`, with its own registries, and packages that are installed in `packages`.

    Its workers start as a user's do. That the command starts as a process is tested in tests/bench/cli and by the
    tests of recommendations.
    """
    return _ended(["gradest", *map(str, arguments)], folder, packages)


def script_forked(*arguments: object, folder: Path) -> Finished:
    """The same for a script of one's own, the first of the arguments, which its workers import."""
    return _ended([*map(str, arguments)], folder)


def _ended(argv: list[str], folder: Path, packages: Sequence[Path] = ()) -> Finished:
    FORKING.set_forkserver_preload(["tests.support.preloaded"])
    with tempfile.TemporaryDirectory() as where:
        out, err = Path(where, "out"), Path(where, "err")
        process = FORKING.Process(target=_command, args=(argv, str(folder), [*map(str, packages)], str(out), str(err)))
        process.start()
        process.join()
        assert process.exitcode is not None
        return Finished(process.exitcode, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"))


def _command(argv: list[str], folder: str, packages: list[str], out: str, err: str) -> None:
    """In the new process: its own session, output into two files, and the program as on a command line."""
    os.setsid()
    for stream, path in ((1, out), (2, err)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(opened, stream)
        os.close(opened)
    os.chdir(folder)
    os.environ["COLUMNS"] = "200"
    sys.path[:0] = packages
    sys.argv = argv
    if argv[0] != "gradest":
        runpy.run_path(argv[0], run_name="__main__")
        return
    from bench.cli.main import main

    main()
