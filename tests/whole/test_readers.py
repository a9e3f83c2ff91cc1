"""Readers of files that anyone may have written: an answer or one sentence, nothing executed, nothing written.

Fuzzed with mutations of the bytes and the contents of good files (`tests/support/mutations.py`). `make test` reads a
thousand, `make test-all` 100,000.
"""

import contextlib
import encodings.utf_16_be
import encodings.utf_16_le
import encodings.utf_32_be
import encodings.utf_32_le  # noqa: F401  (json looks for them by the first bytes; importing one would be heard)
import os
import random
import shutil
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.provenance.identity import canonical
from bench.suites.suite import load_suite
from bench.sweeps.run import folder_of
from bench.tables import where
from bench.tables.files import read_table
from bench.tables.folder import Store, environments, load, stated_seconds_left
from bench.tables.records import parsed
from estimators.errors import BadInput
from tests.support.mutations import (
    csv_contents,
    havoc,
    hostile_tokens,
    json_contents,
    json_lines_contents,
    parquet_contents,
    parquet_footer,
    toml_contents,
)
from tests.support.sweeps import TOML, finished, gradest, small_cells, suite

RUNNING = {"pickle.find_class", "exec", "compile", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"}
CHANGING = {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}
WHERE = [
    b'estimator in ["rloo", "reinforce"] and not (samples < 4 or distribution.size == 200)',
    b"samples >= 1e1 or objective.t < 0.5 and device != 'cpu'",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished run; every reader reads one of its files."""
    folder = tmp_path_factory.mktemp("readers") / "run"
    cells = small_cells()[:2]
    with Store(folder) as store:
        store.begin(suite().model_dump(), {cell.id: ["accuracy"] for cell in cells})
        store.append([finished(cell, variance=2.0, evaluations=3.0) for cell in cells])
        store.say({"done": 2, "total": 4, "seconds_left": 3.5})
        store.finish()
    (folder / "suite.toml").write_text(TOML)
    (folder / "tables").mkdir()
    for name in ("results.csv", "results.parquet"):
        (folder / name).rename(folder / "tables" / name)
    return folder


def table(path):
    """The table from the records of a folder that has no finished table."""
    load(path.parent)


READERS = {
    "suite.toml": (load_suite, [toml_contents], 0.2),
    "records-0.jsonl": (table, [json_lines_contents], 0.1),
    "plan.json": (table, [json_contents], 0.03),
    "progress.json": (lambda path: stated_seconds_left(path.parent), [json_contents], 0.02),
    "environments.jsonl": (lambda path: environments(path.parent), [json_lines_contents], 0.05),
    "tables/results.csv": (read_table, [csv_contents], 0.1),
    "tables/results.parquet": (read_table, [parquet_contents, parquet_footer], 0.1),
}
"""How each file is read, what changes its contents, and its share of all inputs; filters and single records, which are
no files, have the rest."""
SOME = [1_000, pytest.param(100_000, marks=pytest.mark.slow)]


def fuzzed(read, good, inputs, *mutations):
    """Reads so many mutations of what is good; the n-th is always the same."""
    for number in range(inputs):
        chance = random.Random(number)
        content = chance.choice(mutations)(good, chance)
        with warnings.catch_warnings(), contextlib.suppress(BadInput):
            warnings.simplefilter("ignore")
            read(content)


@pytest.mark.parametrize("inputs", SOME)
@pytest.mark.parametrize("name", READERS)
def test_files(folder, name, inputs):
    read, contents, share = READERS[name]
    path = folder / name
    good, around = path.read_bytes(), sorted(folder.parent.rglob("*"))

    read(path)  # what is imported late is imported now, where nobody listens

    def written(content):
        path.write_bytes(content)
        with nothing_but_reading():
            read(path)

    try:
        fuzzed(written, good, int(share * inputs), hostile_tokens, havoc, *contents, *contents)
    finally:
        path.write_bytes(good)
    assert sorted(folder.parent.rglob("*")) == around


@pytest.mark.parametrize("inputs", SOME)
@pytest.mark.parametrize("filter_", WHERE)
def test_filters(filter_, inputs):
    row = {"estimator": "rloo", "samples": 3, "distribution_params": '{"size":200}'}

    def read(content):
        with nothing_but_reading():
            where.parse(content.decode(errors="replace"))(where.filter_facts(row))

    fuzzed(read, filter_, int(0.1 * inputs), hostile_tokens)


@pytest.mark.parametrize("inputs", SOME)
def test_single_records(inputs):
    line = canonical(finished(small_cells()[0], variance=2.0) | {"env": "here"}).encode()

    def read(content):
        with nothing_but_reading():
            parsed(content, 1, "here")

    fuzzed(read, line, int(0.2 * inputs), hostile_tokens, havoc, json_contents, json_contents)


DAMAGED = {
    "torn.jsonl": "the last line was not finished",
    "torn_in_the_middle.jsonl": "1 of 2 lines are damaged and left out, the first: records-0.jsonl, line 1 is",
    "zeros_after_a_power_cut.jsonl": "1 of 2 lines are damaged and left out, the first: records-0.jsonl, line 2 is",
}
"""Files of which a part is read, and what is said of the rest: it is measured again."""
CORPUS = sorted(path for path in (Path(__file__).parents[1] / "corpus").rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def imported(folder):
    """What the commands import late is imported now, where nobody listens."""
    tables = [("compare", f"tables/results.{kind}") for kind in ("csv", "parquet")]
    for command in (("plan", "suite.toml"), ("status", "."), *tables):
        assert gradest(*command, folder=folder).returncode == 0


@pytest.mark.usefixtures("imported")
@pytest.mark.parametrize("path", CORPUS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_torn_and_hostile_files(tmp_path, path):
    """By the command: one sentence, and nothing but it."""
    if path.parent.name == "records":
        shutil.copy(path, tmp_path / "records-0.jsonl")
    command = {"suites": ("plan", path), "records": ("status", "."), "tables": ("compare", path)}[path.parent.name]
    if command[0] == "status":
        (tmp_path / "plan.json").write_text('{"cells": [["d0768defd5dc8032", ["accuracy"]]]}')
    with nothing_but_reading():
        found = gradest(*command, folder=tmp_path)
    said = DAMAGED.get(path.name, "gradest: ")
    assert found.returncode == (0 if path.name in DAMAGED else 2)
    assert said in found.stderr and found.stderr.count("\n") == 1 and "Traceback" not in found.stderr, found.stderr


def test_names_from_files_stay_inside_the_folder(tmp_path):
    """Every name that a record can hold leads outside; what is written of them lands in the folder all the same."""
    inside, outside = tmp_path / "a" / "run", "../../outside"
    inside.mkdir(parents=True)
    lines = []
    for cell in small_cells():
        line: Any = finished(cell, variance=2.0, relative_bias=0.1, evaluations=3.0) | {"env": outside, "cell": cell.id}
        texts = ("estimator", "distribution", "objective", "point", "coordinates", "mode", "plugin", "reason", "device")
        blocks = [{**value, "block": f"{outside}-block"} for value in line["measurements"]]
        named = {name: f"{outside}-{name}-{line[name]}" for name in texts}
        lines.append(canonical(line | named | {"measurements": [*line["measurements"], *blocks]}) + "\n")
    (inside / "records-0.jsonl").write_text("".join(lines))
    (inside / "environments.jsonl").write_text(canonical({"env": outside, "processor": outside}) + "\n")
    with listening() as heard:
        for command in (("export", "a/run"), ("report", "a/run"), ("compare", "a/run")):
            found = gradest(*command, folder=tmp_path)
            assert found.returncode == 0, found.stderr
    written = {(tmp_path / str(arguments[0])).resolve() for event, arguments in heard if event == "open"}
    places = {path for path in written if path != Path(os.devnull) and path.parent.name != "__pycache__"}
    assert inside / ".report.html.new" in places and all(place.is_relative_to(inside) for place in places), places
    assert [path.name for path in tmp_path.iterdir()] == ["a"] and [*(tmp_path / "a").iterdir()] == [inside]


def test_names_of_suites_stay_inside_the_folder(tmp_path):
    for name in ("...toml", "a/...toml", "../...toml"):
        with pytest.raises(BadInput, match="a name for the folder of results"):
            folder_of(name, None)
    for name in ("../../evil.toml", "/evil.toml", "../../evil", "..\\..\\evil.toml", "....toml"):
        folder = folder_of(name, None)
        assert folder.parent.name == "results" and (tmp_path / folder).resolve().is_relative_to(tmp_path / "results")


_watched: list[list[tuple[str, Any]]] = []


def _heard(event, arguments):
    """Notes what a reader does besides reading; an audit hook cannot be removed, so it is silent outside."""
    if not _watched:
        return
    opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if opened or event in RUNNING or event in CHANGING:
        _watched[-1].append((event, arguments))


sys.addaudithook(_heard)


@contextmanager
def listening():
    """Hears where Python code is made or run, a process started, or a file written, moved or removed."""
    heard = []
    _watched.append(heard)
    try:
        yield heard
    finally:
        _watched.pop()


@contextmanager
def nothing_but_reading():
    with listening() as heard:
        yield
    assert not heard, str(heard)[:1000]
