"""Whatever stands in the folder of a run in place of its files: an answer or one sentence; nothing outside changes.

Faults C6 and C18, by kind: every file that the commands leave, with hostile contents, links, pipes and folders.
"""

import os
import random
import re
import shutil
import signal
from contextlib import contextmanager, suppress

import pytest

from bench.measure.timing.ceilings import FILE as CEILINGS
from bench.measure.timing.ceilings import load_ceilings
from bench.pages.report import report_page
from bench.provenance.identity import canonical
from bench.provenance.machine import environment_key, machine_environment
from bench.sweeps.engines.base import CellResult, Engine
from bench.sweeps.run import run
from bench.tables.folder import EARLIER, Store, environments, load
from estimators.errors import BadInput
from tests.support.sweeps import HANG, TOML, finished, gradest, small_cells, suite

TOKEN = re.compile(rb'"[^"]*"|[-+]?\d[\d.e+-]*')
HOSTILE = {
    "half a character": rb'"\ud800"',
    "half a character as bytes": b'"\xed\xa0\x80"',
    "a control character": rb'"\u001b[2J"',
    "no number": b"NaN",
    "infinite": b"-Infinity",
    "nearly infinite": b"1e308",
    "negative": b"-1",
    "4,000 digits": b"9" * 4000,
    "too many digits": b"9" * 5000,
    "100,000 levels": b"[" * 10**5 + b"]" * 10**5,
    "100,000 tables": b'{"a":' * 10**5 + b"1" + b"}" * 10**5,
    "nothing": b"",
    "null": b"null",
    "a million characters": b'"' + b"x" * 10**6 + b'"',
}
READ_BY = {
    "plan.json": ("status", "collect", "run"),
    "progress.json": ("status",),
    "config.toml": ("collect", "again"),
    "environments.jsonl": ("run", "collect", "page"),
    CEILINGS: ("page",),
}
"""The files of a run besides its tables and records, and the commands that read each."""
COMMANDS = {
    "status": ("status", "run"),
    "plan": ("plan", "small.toml", "--out", "run"),
    "run": ("run", "small.toml", "--out", "run", "--jobs", "1"),
    "again": ("run", "run/config.toml", "--jobs", "1"),
    "compare": ("compare", "run"),
    "export": ("export", "run"),
    "parquet": ("export", "run", "--out", "run/results.parquet"),
    "report": ("report", "run", "--jobs", "1"),
    "collect": ("collect", "run", "--out", "whole"),
    "into": ("collect", "copy", "--out", "run"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a finished run in `run`, with all files that commands leave there."""
    folder = tmp_path_factory.mktemp("made")
    run = folder / "run"
    (folder / "small.toml").write_text(TOML)
    with Store(run) as store:
        cells = small_cells()
        store.begin(suite().model_dump(), {cell.id: ["accuracy"] for cell in cells})
        store.append([finished(cell, variance=2.0, evaluations=3.0) for cell in cells])
        store.say({"done": 4, "total": 4, "seconds_left": 3.5})
        store.log("ended")
        store.finish()
    ceiling = {"env": environment_key(), "device": "cpu", "dtype": "float64", "metric": "copies", "unit": "B/s"}
    ceiling |= {"value": 1e9, "ci_low": 9e8, "ci_high": 1.1e9, "n": 5, "method": "made up"}
    (run / CEILINGS).write_text(canonical(ceiling) + "\n")
    shutil.copy(run / "results.parquet", run / EARLIER)
    assert gradest("report", "run", "--jobs", "1", folder=folder).returncode == 0
    shutil.copytree(run, folder / "copy")
    return folder


@pytest.fixture
def folder(made, tmp_path):
    shutil.copytree(made, tmp_path / "made")
    return tmp_path / "made"


def answered(folder, name):
    """Runs a command: it ends with an answer or with one sentence."""
    if name == "page":
        with suppress(BadInput):
            text = report_page(
                load(folder / "run"),
                environments(folder / "run"),
                ceilings=load_ceilings(folder / "run").to_dict("records"),
            )
            assert "\ud800" not in text
        return
    with no_hang():
        found = gradest(*COMMANDS[name], folder=folder)
    assert found.returncode in (0, 2), (name, found)
    assert len(found.stderr) + len(found.stdout) < 10_000 and "Traceback" not in found.stderr
    assert found.returncode == 0 or found.stderr.count("gradest: ") == 1, (name, found)
    assert all(each.isprintable() for each in found.stderr + found.stdout if each != "\n")


@contextmanager
def no_hang():
    def late(*given):
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, HANG)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def quick(every, chosen):
    """The parameters, of which `make test` tries those chosen."""
    return [each if each in chosen else pytest.param(each, marks=pytest.mark.slow) for each in every]


@pytest.mark.parametrize("kind", quick(HOSTILE, ("half a character", "no number", "100,000 levels")))
def test_hostile_contents(folder, kind):
    """In place of the whole file, and of a number or a text in it."""
    chance = random.Random(0)
    for name, commands in READ_BY.items():
        path = folder / "run" / name
        good = path.read_bytes()
        token = chance.choice([*TOKEN.finditer(good)])
        for content in (HOSTILE[kind], good[: token.start()] + HOSTILE[kind] + good[token.end() :]):
            for command in commands:
                path.write_bytes(content)
                answered(folder, command)
                shutil.rmtree(folder / "whole", ignore_errors=True)
        path.write_bytes(good)


RUN, FIGURES = ("status", "run", "into"), "report-figures/*"
WRITTEN = {
    **dict.fromkeys(("records-0.jsonl", "plan.json", "progress.json", "config.toml", "environments.jsonl"), RUN),
    **dict.fromkeys(("run.log", ".lock", EARLIER), ("run",)),
    "results.parquet": ("run", "parquet", "compare"),
    "results.csv": ("run", "export"),
    **dict.fromkeys(("report.html", FIGURES, CEILINGS), ("report",)),
}
"""The files that commands leave, and commands that read or write each."""
PLANTED = {
    "a link": lambda path, outside: path.symlink_to(outside),
    "a link to nothing": lambda path, outside: path.symlink_to(outside.with_name("nothing")),
    "a pipe": lambda path, outside: os.mkfifo(path),
    "a folder": lambda path, outside: path.mkdir(),
}


def beside(path):
    """The temporary file that becomes `path`."""
    return path.with_name(f".{path.name}.new")


def test_every_file_that_commands_leave_is_listed(made):
    left = {path.relative_to(made / "run") for path in (made / "run").rglob("*") if path.is_file()}
    listed = {path.relative_to(made / "run") for name in WRITTEN for path in (made / "run").glob(name)}
    assert left == listed and READ_BY.keys() <= WRITTEN.keys()


@pytest.mark.parametrize("place", ["in place", "beside"])
@pytest.mark.parametrize("what", quick(PLANTED, ("a link",)))
def test_nothing_outside_the_folder_is_written(made, tmp_path, what, place):
    """As one who can write there may put it: in place of each file, or where it is made before it is renamed."""
    for name, commands in WRITTEN.items():
        folder = tmp_path / name.replace("/*", "")
        shutil.copytree(made, folder)
        (folder / "outside").mkdir()
        for path in [*(folder / "run").glob(name)]:
            outside = folder / "outside" / path.name
            outside.write_bytes(path.read_bytes()[:-1])  # as if torn, which a run mends
            path.unlink()
            PLANTED[what](path if place == "in place" else beside(path), outside)
        before = {path: path.read_bytes() for path in (folder / "outside").iterdir()}
        for command in commands:
            answered(folder, command)
        assert {path: path.read_bytes() for path in (folder / "outside").iterdir()} == before, name


class Answering(Engine):
    """Answers with made-up records, without workers."""

    def width(self):
        return 1

    def measure(self, cells, task):
        yield from ([CellResult(cell, finished(cell, variance=2.0), machine_environment())] for cell in cells)

    def close(self):
        """Nothing runs."""


@pytest.mark.parametrize("harm", [shutil.rmtree, lambda folder: folder.rename(folder.with_name("moved"))])
@pytest.mark.parametrize("moment", ["read", "begin", "note_environment", "append", "say", "finish"])
def test_a_folder_that_is_lost_at_any_moment_is_one_sentence(tmp_path, monkeypatch, moment, harm):
    """Fault C6: also while a run starts."""
    act = getattr(Store, moment)

    def lost(store, *given, **more):
        if store.folder.exists():
            harm(store.folder)
        return act(store, *given, **more)

    monkeypatch.setattr("bench.sweeps.run.open_engine", lambda name, options: Answering(options))
    run(suite(), tmp_path / "whole")
    monkeypatch.setattr(Store, moment, lost)
    with pytest.raises(BadInput) as said:
        run(suite(), tmp_path / "run")
    assert str(tmp_path / "run") in str(said.value) and "\n" not in str(said.value)
    assert not (tmp_path / "run").exists()
