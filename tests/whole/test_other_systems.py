"""Systems that lack what Linux has: a sweep, a resume after a kill, a report and a recommendation give the same.

Quick: all parts are taken from a forked process, and its workers are forked from it. Slow: each part in turn is taken
from real processes before they import anything (`tests/support/masked`).
"""

import ast
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch

from bench.catalogue.this_machine import environment
from bench.cli.console import INCONCLUSIVE
from bench.isolation import process
from bench.measure.execution.devices import check_device
from bench.pages import figures
from bench.sweeps.run import run
from bench.system import optional
from bench.tables.folder import Store, load
from estimators.errors import BadInput
from tests.support.sweeps import HANG, ROOT, TOML, gradest, suite

MASKED = ROOT / "tests" / "support" / "masked"
PARTS = {"resource": "memory limits", "fcntl": "file locks", "/proc": "/proc", "fork": "fork"}
"""What is taken away, and the part that is then missing."""
ASIDE = ["run", "created", "wall_s", "attempt", "env"]
ASKED = {"resource", "fcntl", "ctypes"}
CALLS = {"setsid", "killpg", "sched_getaffinity", "sysconf", "getuid", "fork", "pthread_sigmask", "SIGKILL"}
ELSEWHERE = {
    "bench/isolation/leftovers.py": "it reads what there is, and takes an error for an answer",
}
"""Files that may name a call themselves, with the reason."""
FORK = multiprocessing.get_context("fork")


def test_parts_of_the_system_are_asked_for_in_one_place():
    found = {}
    for path in [*(ROOT / "bench").rglob("*.py"), *(ROOT / "estimators").rglob("*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names} & ASKED
        names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & CALLS
        names |= {"/proc"} & {str(node.value) for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        if names:
            found[str(path.relative_to(ROOT))] = names
    assert found.pop("bench/system/optional.py") >= ASKED | {"setsid", "killpg", "/proc"}
    assert not found.keys() - ELSEWHERE.keys(), found


@pytest.fixture
def without(monkeypatch):
    """Takes a part of the system from this process."""

    def take(part):
        if part in ("resource", "fcntl"):
            monkeypatch.setattr(optional, part, None)
        elif part == "fork":
            monkeypatch.delattr(os, "fork")
        else:
            monkeypatch.setattr(optional, "PROC", Path("/nowhere"))

    return take


@pytest.mark.parametrize("part", PARTS)
def test_what_is_missing_is_said(part, without):
    assert "missing" not in environment() and not optional.missing_parts()
    without(part)
    assert environment()["missing"] == {PARTS[part]: optional.SYSTEM_PARTS[PARTS[part]].without}


def test_without_memory_limits_the_option_is_refused(tmp_path, without):
    (tmp_path / "small.toml").write_text(TOML)
    without("resource")
    found = gradest("run", "small.toml", "--memory", "2", folder=tmp_path)
    assert found.returncode == 2 and "--memory: this system cannot limit the memory of a process" in found.stderr
    assert not (tmp_path / "results").exists()
    optional.limit_memory(1)
    assert optional.process_limits() == []


def test_without_file_locks_a_folder_can_be_written(tmp_path, without):
    with Store(tmp_path), pytest.raises(BadInput, match="another run is writing"), Store(tmp_path):
        pass
    without("fcntl")
    with Store(tmp_path), Store(tmp_path):
        pass


def test_without_proc_the_machine_is_described(without):
    known = optional.free_memory()
    without("/proc")
    assert optional.processor_name() == "" and known and (optional.free_memory() or 0) >= known


def test_without_fork_figures_are_drawn_by_processes_of_their_own(without):
    assert figures._processes().get_start_method() == "forkserver"
    without("fork")
    assert figures._processes().get_start_method() == "spawn"


def test_without_groups_affinity_masks_and_users(monkeypatch):
    """As on Windows."""
    for name in ("setsid", "killpg", "sched_getaffinity", "sysconf", "getuid"):
        monkeypatch.delattr(os, name)
    monkeypatch.delattr(signal, "pthread_sigmask")
    optional.begin_group()
    with optional.interrupts_blocked():
        assert optional.usable_cores() == os.cpu_count() and optional.memory_of_machine() is None
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    optional.end_group(child.pid)
    assert child.wait() == -signal.SIGKILL and optional.user() == ""
    assert "process groups" in optional.missing_parts()


def test_a_device_without_float64_says_what_it_can(monkeypatch):
    """As torch says it of Apple's GPUs."""
    zeros, device = torch.zeros, torch.device("mps")

    def refused(*size, **given):
        if given.get("device") == "mps":
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return zeros(*size, **given)

    monkeypatch.setattr(torch, "zeros", refused)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: device)
    with pytest.raises(BadInput, match=r"'mps' has no float64, .* measure on the CPU") as refusal:
        check_device("mps")
    assert str(refusal.value).count("\n") == 0
    check_device("cpu")


def sweep_without_anything(folder):
    """A sweep whose process, and its workers, lack all parts but fork, which makes them quickly."""
    optional.resource = optional.fcntl = None
    optional.PROC = Path("/nowhere")
    process.SPAWN = FORK
    os._exit(gradest("run", "small.toml", "--jobs", "1", folder=folder).returncode)


def killed_and_resumed(start, folder):
    """Starts a sweep, kills it after its first record, and starts it again; returns the exit code."""
    (folder / "small.toml").write_text(TOML.replace("[2, 4]", str(SAMPLES)))
    records, first = folder / "results/small/records-0.jsonl", start()
    while not (records.exists() and b"\n" in records.read_bytes()):
        assert first.is_alive()
        time.sleep(0.01)
    first.kill()
    first.join(HANG)
    assert records.read_bytes().count(b"\n") < 2 * len(SAMPLES)
    again = start()
    again.join(HANG)
    return again.exitcode


SAMPLES = list(range(2, 8))


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The table of the same sweep where nothing is missing."""
    folder = tmp_path_factory.mktemp("whole")
    run(suite(samples=SAMPLES), folder, jobs=1)
    return load(folder).drop(columns=ASIDE)


@pytest.mark.skipif(torch.accelerator.is_available(), reason="a process that has an accelerator cannot be forked")
@pytest.mark.usefixtures("forked_workers")
def test_a_sweep_killed_and_resumed_without_anything_gives_the_same_table(tmp_path, expected):
    def start():
        started = FORK.Process(target=sweep_without_anything, args=(tmp_path,))
        started.start()
        return started

    assert killed_and_resumed(start, tmp_path) == 0
    pd.testing.assert_frame_equal(load(tmp_path / "results/small").drop(columns=ASIDE), expected)
    assert "this system has no file locks" in (tmp_path / "results/small/run.log").read_text()


class Command(subprocess.Popen):
    """The command in a real process from which a part is taken, with the names that multiprocessing uses."""

    def __init__(self, part, folder, *arguments):
        environment = os.environ | {"PYTHONPATH": f"{MASKED}:{ROOT}", "GRADEST_MASKED": part}
        code = "from bench.cli.main import main; main()"
        super().__init__(
            [sys.executable, "-c", code, *arguments], cwd=folder, env=environment, text=True, stdout=-1, stderr=-1
        )

    def is_alive(self):
        return self.poll() is None

    def join(self, seconds):
        self.said = self.communicate(timeout=seconds)
        self.exitcode = self.returncode


@pytest.mark.slow
@pytest.mark.parametrize("part", [*PARTS, " ".join(PARTS)])
def test_real_processes_without_a_part(tmp_path, expected, part):
    def done(*arguments, codes=(0,)):
        command = Command(part, tmp_path, *arguments)
        command.join(HANG)
        assert command.exitcode in codes, command.said
        return command.said[0]

    assert killed_and_resumed(lambda: Command(part, tmp_path, "run", "small.toml", "--jobs", "1"), tmp_path) == 0
    pd.testing.assert_frame_equal(load(tmp_path / "results/small").drop(columns=ASIDE), expected)
    assert PARTS[part.split()[0]] in done("env")
    assert "report.html" in done("report", "small", "--jobs", "2")
    model = ROOT / "examples" / "discrete_vae.py"
    found = done("recommend", str(model), "--seconds", "6", codes=(0, INCONCLUSIVE))
    assert "local_expectation" in found and "not ruled out" in found
