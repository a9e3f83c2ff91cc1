"""The pieces of the eight minutes that a CPU can show; `make gpu-evidence DEVICE=cpu` runs them all."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import bench
from bench.measure.timing.blocks import ThroughputSettings
from bench.suites.grid import suite_cells
from bench.sweeps.planning import pick
from tests.gpu_evidence import machine, saturation
from tests.gpu_evidence.__main__ import MOST, PACKAGES, ROOT, steps, variables
from tests.gpu_evidence.accuracy import CELLS, ON_CPU, compared, core, repeated
from tests.gpu_evidence.files import FILES, LOG, without, without_names, written
from tests.gpu_evidence.saturation import Point
from tests.gpu_evidence.steps import GRACE, Step, run
from tests.gpu_evidence.sweep import keep, measured
from tests.support.sweeps import suite


def python(text):
    return [sys.executable, "-u", "-c", text]


def ran(folder, *steps, seconds=60.0):
    """The lines of some steps, and the log."""
    log = folder / LOG
    lines = run(steps, log, until=time.monotonic() + seconds, variables=variables("cpu"), folder=folder)
    return lines, log.read_text()


def test_a_step_that_fails_leaves_its_error_and_the_next_one_runs(tmp_path):
    lines, log = ran(tmp_path, Step("bad", 20, python("1/0")), Step("good", 20, python("print('here')")))
    assert lines[0].startswith("step 1, bad: failed with exit code 1") and lines[1].startswith("step 2, good: done")
    assert "ZeroDivisionError" in log and "here" in log and all(line in log for line in lines)


def test_a_program_that_is_not_there_is_a_result_too(tmp_path):
    (line,), _ = ran(tmp_path, Step("none", 20, ["no-such-program"]))
    assert "cannot begin" in line


SAVES = "import time\ntry:\n print('on'); time.sleep(60)\nexcept KeyboardInterrupt:\n print('saved')"
DEAF = f"import signal, time\nsignal.signal({int(signal.SIGINT)}, signal.SIG_IGN)\nprint('deaf'); time.sleep(60)"


@pytest.mark.parametrize(("text", "said"), [(SAVES, "saved"), (DEAF, "deaf")])
def test_a_step_that_is_late_is_interrupted_and_then_ended(tmp_path, text, said):
    (line,), log = ran(tmp_path, Step("late", 2, python(text)))
    assert "interrupted after 2 s" in line and said in log


def test_a_step_saves_what_it_has_where_the_command_runs_in_the_background(tmp_path):
    """Shells start what ends in `&` with Ctrl-C ignored, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _, log = ran(tmp_path, Step("late", 2, python(SAVES)))
    finally:
        signal.signal(signal.SIGINT, before)
    assert "saved" in log


def test_children_of_a_step_end_with_it(tmp_path):
    child = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid)"
    _, log = ran(tmp_path, Step("parent", 20, python(child)))
    pid = next(line for line in log.splitlines() if line.isdigit())
    state = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True, check=False).stdout
    assert not state.strip() or state.startswith("Z")


def test_when_the_time_is_up_nothing_begins(tmp_path):
    lines, _ = ran(tmp_path, Step("late", 20, python("print(1)")), seconds=GRACE - 1)
    assert "not begun: time is up" in lines[0]


def test_all_steps_end_within_eight_minutes():
    every = steps(Path("out"), "cuda", short=False)
    assert sum(step.seconds + GRACE for step in every) <= MOST == 480
    assert [step.seconds for step in every] == [20, 150, 120, 60, 60, 20]


def test_the_gpu_tests_are_in_the_file_that_is_run():
    (tests,) = (step.command for step in steps(Path("out"), "cuda", short=False) if step.name == "tests")
    marked = {
        path
        for path in (ROOT / "tests").rglob("test_*.py")
        if "mark.gpu" in path.read_text() and path.name != Path(__file__).name
    }
    assert marked == {ROOT / tests[-1]}


def test_junit_is_whole_after_each_test(tmp_path):
    """The process is killed in the second test; the file knows the first."""
    (tmp_path / "test_two.py").write_text("import os\ndef test_a(): pass\ndef test_b(): os.kill(os.getpid(), 9)\n")
    plugins = ["-p", "tests.gpu_evidence.junit_after_each", "-p", "no:cacheprovider"]
    places = ["-c", "/dev/null", f"--junit-xml={tmp_path / 'junit.xml'}", "--rootdir", str(tmp_path), str(tmp_path)]
    command = [sys.executable, "-m", "pytest", "-q", *plugins, *places]
    done = subprocess.run(command, env=variables("cpu"), cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == -9
    text = (tmp_path / "junit.xml").read_text()
    assert "test_a" in text and text.endswith("</testsuites>")


def test_names_of_the_machine_are_taken_out(tmp_path):
    (tmp_path / LOG).write_text(
        f"    GPU UUID : GPU-12\n    Serial Number : 7\nclocks 3\n{ROOT}/bench/a.py {sys.prefix}/b\n"
    )
    (tmp_path / "junit.xml").write_text('<testsuite errors="0" hostname="box" tests="1"/>')
    without_names(tmp_path, ROOT)
    text = (tmp_path / LOG).read_text()
    assert text.startswith("clocks 3\n./bench/a.py ") and str(ROOT) not in text and sys.prefix not in text
    assert (tmp_path / "junit.xml").read_text() == '<testsuite errors="0" tests="1"/>'
    assert "UUID" not in without("x\nGPU UUID: 1\n", ROOT)


def test_a_file_is_whole_or_the_one_before(tmp_path):
    path = tmp_path / "table.csv"
    written(path, lambda new: new.write_text("whole"))

    def torn(new):
        new.write_text("to")
        raise OSError("the machine ends")

    with pytest.raises(OSError, match="ends"):
        written(path, torn)
    assert path.read_text() == "whole"


def test_the_machine_says_what_is_not_there():
    assert machine.answer(["no-such-program"]).startswith("no-such-program: FileNotFoundError")
    assert machine.installed([], PACKAGES, Path("wheels")) == "no package is missing"
    assert "No matching distribution" in machine.installed(["beartype"], Path("nowhere"), Path("no-wheels"))
    assert machine.missing() == [] or "pydantic" not in machine.missing()


def test_wheels_are_those_that_make_brings():
    makefile = (ROOT / "Makefile").read_text()
    brought = makefile.partition("--dest build/wheels \\\n")[2].partition("\n")[0].split()
    assert sorted(brought) == sorted(machine.BROUGHT)


@pytest.mark.slow  # `make gpu-evidence DEVICE=cpu` does so too
@pytest.mark.usefixtures("forked_workers")
def test_a_sweep_keeps_its_table_while_it_runs(tmp_path, monkeypatch):
    kept, target = [], tmp_path / "a.parquet"

    def watched(folder, path):
        keep(folder, path)
        kept.append(bench.load(path).cell.nunique() if path.exists() else 0)

    monkeypatch.setattr("tests.gpu_evidence.sweep.EVERY", 0.0)
    monkeypatch.setattr("tests.gpu_evidence.sweep.keep", watched)
    measured(suite(), ["samples == 2", "samples == 4"], target)
    assert kept == sorted(kept) and kept[-1] == 4 and len(kept) > 3


def test_the_table_of_the_cpu_is_of_forty_cells_and_repeats_itself():
    table = bench.load(ON_CPU)
    assert table.cell.nunique() == 40 and set(table.dtype) == {"float32"} and set(table.status) == {"ok"}
    assert set(table.cell) == {cell.id for cell in pick(suite_cells(core("cpu")), CELLS)}
    assert repeated(table, table).startswith("twice: all ")
    assert compared(table, table)[0].startswith("verdicts: 40 of 40")


def test_other_numbers_and_other_verdicts_are_named():
    table = bench.load(ON_CPU)
    moved = table.assign(value=table.value.where(table.metric != "variance", table.value * (1 + 1e-15)))
    assert " numbers differ" in repeated(table, moved)
    other = table.copy()
    row = other.index[other.metric == "relative_bias"][0]
    other.loc[row, "verdict"] = "biased" if other.verdict[row] != "biased" else "unbiased"
    said = compared(other, table)
    assert said[0].startswith("verdicts: 39 of 40") and len(said) == 2 and table.estimator[row] in said[1]
    assert "other rows" in repeated(table, pd.DataFrame(table[table.metric != "variance"]))


def test_a_point_of_the_curve_is_a_rate_with_its_interval_or_the_error(monkeypatch):
    monkeypatch.setattr(saturation, "SETTINGS", ThroughputSettings(precision=0.5, max_seconds=0.02))
    point, found = saturation.ours(Point("gradest", "bits/rloo", "eager", 64), "cpu")
    assert 0 < found["low"] <= found["estimates_per_second"] <= found["high"]
    assert set(vars(point) | found) <= {*saturation.COLUMNS}
    _, failed = saturation.ours(Point("gradest", "bits/rloo", "graf", 64), "cpu")
    assert "there is no mode 'graf'" in failed["error"]


def test_jax_beside_it_says_on_what_it_ran_and_what_went_wrong():
    _, found = saturation.jax_point(
        "bits/rloo", 64, {"replicates": 128, "seconds": 0.5, "arrangement": "64 at once, rbg"}
    )
    assert found == {"estimates_per_second": 256.0}
    assert saturation.jax_point("bits/rloo", 64, {"error": "no memory"})[1] == {"error": "no memory"}


def test_the_curve_goes_from_a_thousand_to_four_million():
    assert saturation.WHOLE[0] == 2**10 and saturation.WHOLE[-1] == 2**22 and len(FILES) == 8
