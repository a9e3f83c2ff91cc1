"""Nothing is lost and nothing is false on disk: signals, full disks, copies and clocks in the middle of a sweep."""

import os
import resource
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from bench.isolation import process
from bench.sweeps import cell_record
from bench.sweeps.run import run
from bench.tables.columns import SCHEMA
from bench.tables.folder import load
from bench.tables.records import read_records
from estimators.errors import BadInput
from tests.support.siege import CHEAP, FORK, Siege
from tests.support.sweeps import TOML, gradest, small_cells, suite

ASIDE = ["run", "created", "wall_s", "attempt"]
SAMPLES = [2, 3, 4, 5]


def statistics(folder):
    return load(folder).drop(columns=ASIDE)


@pytest.fixture(autouse=True)
def cheap_workers(monkeypatch):
    monkeypatch.setattr(process, "SPAWN", CHEAP)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The sweep, undisturbed."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(process, "SPAWN", CHEAP)
        cell_record.measure_cell(small_cells()[0], "accuracy")
        run(suite(samples=SAMPLES), folder, jobs=1)
    return statistics(folder)


@pytest.mark.parametrize(("signals", "cells"), [(8, 24), pytest.param(200, 600, marks=pytest.mark.slow)])
def test_signals_over_the_whole_run_change_nothing(tmp_path, signals, cells):
    """Two of each signal, to the run and to its workers in turn; in `make test-all` 25 of each, 20 in every tenth."""
    siege = Siege(tmp_path, cells, signals)
    siege.lay(signals)
    print(f"{sum(siege.hits[each] for each in range(11))} signals, {siege.starts} starts: {dict(siege.hits)}")
    assert set(siege.times().values()) == {1} and len(siege.times()) == cells
    assert signals < 200 or all(siege.hits[tenth] >= 10 for tenth in range(10))
    found = statistics(siege.results)
    assert set(found["status"]) == {"ok"}, found.loc[found["status"] != "ok", ["samples", "status", "reason"]].values
    run(suite(samples=list(range(2, 2 + cells // 2))), tmp_path / "alone", jobs=1)
    pd.testing.assert_frame_equal(found, statistics(tmp_path / "alone"))


def in_little_space(folder, most):
    """The command, where no file may grow beyond `most` bytes; ends with its exit code."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    found = gradest("run", "small.toml", "--jobs", "1", folder=folder)
    said = [line for line in found.stderr.splitlines() if line.startswith("gradest: ")]
    os._exit(found.returncode if not found.returncode or len(said) == 1 else 99)


@pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_a_disk_that_is_full_after_any_number_of_bytes(tmp_path, whole, times):
    """What was measured before is kept each time; exit code 2, one sentence."""
    (tmp_path / "small.toml").write_text(TOML.replace("[2, 4]", str(SAMPLES)))
    folder, kept = tmp_path / "results" / "small", 0
    for most in (int(200 + index * 24_000 / times) for index in range(times)):
        command = FORK.Process(target=in_little_space, args=(tmp_path, most))
        command.start()
        command.join()
        assert command.exitcode in (0, 2), command.exitcode
        now = len(read_records(folder, SCHEMA).lines) if folder.exists() else 0
        assert now >= kept
        kept = now
    run(suite(samples=SAMPLES), folder, jobs=1)
    pd.testing.assert_frame_equal(statistics(folder), whole)


def test_a_folder_that_is_copied_in_between(tmp_path, whole):
    run(suite(samples=SAMPLES), tmp_path / "first", jobs=1, where="samples <= 3")
    shutil.copytree(tmp_path / "first", tmp_path / "elsewhere" / "second")
    found = run(suite(samples=SAMPLES), tmp_path / "elsewhere" / "second", jobs=1)
    assert found.counts == {"ok": 4}
    pd.testing.assert_frame_equal(statistics(tmp_path / "elsewhere" / "second"), whole)


def test_a_clock_that_jumps(tmp_path, whole, monkeypatch):
    """By ten years, there and back, between any two cells: in the workers, which are forked."""

    class Jumping(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(days=3650 * (-1) ** len(os.urandom(1)))

    monkeypatch.setattr(cell_record, "datetime", Jumping)
    run(suite(samples=SAMPLES), tmp_path / "jumps", jobs=1, where="samples <= 3")
    monkeypatch.undo()
    monkeypatch.setattr(process, "SPAWN", CHEAP)
    run(suite(samples=SAMPLES), tmp_path / "jumps", jobs=1)
    pd.testing.assert_frame_equal(statistics(tmp_path / "jumps"), whole)
    assert min(load(tmp_path / "jumps")["created"]) < "2020"


@pytest.mark.parametrize("harm", ["moved", "removed", "another_file"])
def test_a_folder_that_is_lost_while_running(tmp_path, whole, harm):
    """One sentence; what was written before is where the folder is now, and a run on it goes on."""
    folder, moved = tmp_path / "run", tmp_path / "moved"

    def lose(progress):
        if not (folder / "records-0.jsonl").exists():
            return
        if harm == "moved":
            folder.rename(moved)
        elif harm == "removed":
            shutil.rmtree(folder)
        else:
            (folder / "records-0.jsonl").unlink()

    with pytest.raises(BadInput, match="was moved or removed while the run was writing to it"):
        run(suite(samples=SAMPLES), folder, jobs=1, show=lose)
    if harm == "moved":
        assert run(suite(samples=SAMPLES), moved, jobs=1).counts["ok"] < 8
        pd.testing.assert_frame_equal(statistics(moved), whole)


def test_no_more_descriptors_end_a_run_in_one_sentence(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    (tmp_path / "small.toml").write_text(TOML)
    opened = len([*Path("/proc/self/fd").iterdir()])
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 6, hard))
    try:
        found = gradest("run", "small.toml", "--jobs", "2", folder=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found.returncode == 2 and found.stderr.count("gradest: ") == 1 and "Too many open files" in found.stderr
    assert gradest("run", "small.toml", "--jobs", "1", folder=tmp_path).stdout.endswith("4 ok\n")
