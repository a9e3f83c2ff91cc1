"""Many cells in worker processes."""

import textwrap
from contextlib import closing
from unittest.mock import patch

import pandas as pd
import pytest
import torch

from bench.isolation import process
from bench.plugins.files import PluginFile, load_files
from bench.sweeps.engines.base import Options
from bench.sweeps.engines.isolated import Isolated
from bench.sweeps.engines.local import Local
from bench.sweeps.run import run
from bench.sweeps.worker import Setup
from bench.tables.folder import load
from estimators.errors import BadInput
from tests.support.forked import script_forked
from tests.support.sweeps import small_cells, suite

pytestmark = pytest.mark.usefixtures("forked_workers")
ASIDE = ["run", "created", "wall_s", "attempt"]
BAD = textwrap.dedent(
    '''
    """Estimators that go wrong in every way."""
    import os, time
    from dataclasses import dataclass
    import torch
    from estimators import register
    from estimators.score_function import Reinforce

    class Bad(Reinforce):
        def coefficient(self, value):
            self.harm()
            return value

    @register("raises")
    @dataclass(frozen=True)
    class Raises(Bad):
        def harm(self):
            raise RuntimeError("no such thing")

    @register("dies")
    @dataclass(frozen=True)
    class Dies(Bad):
        def harm(self):
            os._exit(0)

    @register("segfaults")
    @dataclass(frozen=True)
    class Segfaults(Bad):
        def harm(self):
            import ctypes
            ctypes.string_at(0)

    @register("is_killed")
    @dataclass(frozen=True)
    class IsKilled(Bad):
        def harm(self):
            os.kill(os.getpid(), 9)

    @register("greedy")
    @dataclass(frozen=True)
    class Greedy(Bad):
        def harm(self):
            torch.zeros(6 * 2**30, dtype=torch.uint8)

    @register("seeds")
    @dataclass(frozen=True)
    class Seeds(Bad):
        def harm(self):
            torch.manual_seed(0)

    @register("meddles")
    @dataclass(frozen=True)
    class Meddles(Bad):
        def harm(self):
            torch.set_default_dtype(torch.float16)
            torch.set_num_threads(2)

    @register("hangs")
    @dataclass(frozen=True)
    class Hangs(Bad):
        def harm(self):
            time.sleep(1000)

    @register("nan")
    @dataclass(frozen=True)
    class Nan(Reinforce):
        def coefficient(self, value):
            return value * float("nan")
    '''
)


@pytest.fixture(scope="module")
def good(tmp_path_factory, forked_workers):
    """The sweep of the good cells alone, on one worker."""
    folder = tmp_path_factory.mktemp("good")
    summary = run(suite(metrics=["accuracy", "throughput"], throughput={"max_seconds": 0.1}), folder, jobs=1)
    assert summary.counts == {"ok": 8} and not summary.failed
    return folder


def accuracy(folder, estimators=("rloo", "reinforce")):
    table = load(folder)
    timed = table["unit"].isin(["s", "1/s", "bytes", "gradient²·s"])
    kept = table[table["estimator"].isin(estimators) & ~timed]
    return pd.DataFrame(kept).drop(columns=ASIDE).reset_index(drop=True)


def test_a_second_run_has_nothing_to_do(good):
    summary = run(suite(metrics=["accuracy", "throughput"], throughput={"max_seconds": 0.1}), good, jobs=1)
    assert summary.counts == {} and summary.left == 0


BAD_ONES = {
    "raises": ("failed", "no such thing"),
    "dies": ("crashed", "exit code 0"),
    "segfaults": ("crashed", "exit code -11"),
    "is_killed": ("crashed", "exit code -9"),
    "greedy": ("out_of_memory", "allocate"),
    "seeds": ("failed", "torch's seed was set"),
    "hangs": ("timeout", "longer than 30 s"),
    "nan": ("nonfinite", "NaN or infinite"),
    "meddles": ("ok", "changed torch's default dtype and torch's number of threads: restored"),
}


def test_bad_cells_are_rows_and_the_good_ones_stay_the_same(good, tmp_path):
    """One sweep on two workers, good cells among cells that go wrong in every way."""
    (tmp_path / "bad.py").write_text(BAD)
    mixed = [*list(BAD_ONES)[:4], "rloo", *list(BAD_ONES)[4:], "reinforce"]
    found = run(
        _toml(tmp_path, mixed),
        tmp_path / "mixed",
        jobs=2,
        timeout=30.0,
        memory=5.0,
        plugin=tmp_path / "bad.py",
        where="samples == 2 or estimator in ['rloo', 'reinforce']",
    )
    assert found.left == 0 and sum(found.counts.values()) == len(BAD_ONES) + 4
    table = load(tmp_path / "mixed")
    for name, (status, reason) in BAD_ONES.items():
        rows = pd.DataFrame(table[table["estimator"] == name])
        assert set(rows["status"]) == {status} and reason in rows["reason"].iloc[0], rows["reason"].iloc[0]
        assert status == "ok" or all(rows["metric"].isna())
        assert set(rows["plugin"]) == {f"gradest_plugin_bad.{''.join(map(str.title, name.split('_')))}"}
    assert table["reason"].str.contains("no such thing (bad.py", regex=False).any()
    pd.testing.assert_frame_equal(accuracy(tmp_path / "mixed"), accuracy(good), check_like=True)


def _toml(folder, estimators):
    path = folder / "suite.toml"
    names = ", ".join(f'"{name}"' for name in estimators)
    path.write_text(
        f"""samples = [2, 4]\nmetrics = ["accuracy"]\nestimators = [{names}]\naccuracy = {{ max_replicates = 1024 }}
throughput = {{ max_seconds = 0.1 }}
[[problems]]\ndistribution = {{ name = "bernoulli", size = 3 }}\nobjective = "quadratic_bits"\n"""
    )
    return path


@pytest.mark.slow  # the process alone: tests/bench/isolation/test_process.py
def test_a_worker_that_dies_between_cells_is_replaced():
    """What a pool with one pipe for all does not survive: killed from outside while it has nothing to do."""
    (cell,) = small_cells(samples=2, estimators=["rloo"])
    with closing(Isolated(Setup(), limit=600.0)) as worker:
        first = worker.measure(cell, "accuracy")
        died = worker.process._process
        died.kill()
        died.join()
        assert worker.measure(cell, "accuracy")["measurements"] == first["measurements"]


def test_workers_that_cannot_start(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "FALSE_STARTS", 1)
    inside = "import multiprocessing, os\nif multiprocessing.parent_process():\n    "
    for harm, said in (("os._exit(3)", "it died with exit code 3"), ("1 / 0", "does not import: ZeroDivisionError")):
        setup = Setup((PluginFile(str(tmp_path / "plugin.py"), inside + harm),))
        refused = pytest.raises(BadInput, match=f"cannot start: .*{said}")
        with closing(Isolated(setup, limit=600.0)) as worker, refused:
            worker.measure(small_cells()[0], "accuracy")


def test_the_source_that_is_recorded_is_the_source_that_ran(tmp_path, monkeypatch):
    """A plug-in file edited after the plan runs as it was; a module that it imports and that has changed is refused."""
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "gradest_fixed.py"
    module.write_text(FIXED)
    path, text = tmp_path / "own.py", FIXED.replace("fixed", "edited").replace("Fixed", "Edited")
    path.write_text(f"import gradest_fixed\n{text}")
    files = tuple(PluginFile.imported(each) for each in load_files(path))
    edited, fixed = small_cells(samples=2, estimators=["edited", "fixed"])
    path.write_text(path.read_text().replace("return value", "return 2 * value"))
    with closing(Isolated(Setup(files), limit=600.0)) as worker:
        found = worker.measure(edited, "accuracy")
        scale = {each["metric"]: each["value"] for each in found["measurements"]}["scale"]
        assert found["source_digest"] == edited.source_digest and scale == pytest.approx(1, abs=0.3)
    module.write_text(FIXED.replace("return value", "return 2 * value"))
    refused = pytest.raises(BadInput, match=r"the source of gradest_fixed\.Fixed has changed since the run began")
    with closing(Isolated(Setup(files), limit=600.0)) as worker, refused:
        worker.measure(fixed, "accuracy")


FIXED = """
from dataclasses import dataclass
from estimators import register
from estimators.score_function import Reinforce

@register("fixed")
@dataclass(frozen=True)
class Fixed(Reinforce):
    def coefficient(self, value):
        return value
"""


def test_a_script_without_the_guard_is_told(tmp_path):
    """Workers import the script that started them."""
    script = tmp_path / "script.py"
    suite = _toml(tmp_path, ["rloo"])
    script.write_text(
        "import sys, bench\nfrom bench.isolation import process\n"
        "process.FALSE_STARTS = 1\nbench.run(sys.argv[1], sys.argv[2], jobs=1)\n"
    )
    ended = script_forked(script, suite, tmp_path / "out", folder=tmp_path)
    assert ended.returncode == 1 and 'call bench.run under `if __name__ == "__main__":`' in ended.stderr


def test_timed_cells_are_alone():
    """Their worker is the only one there is; on accelerators one per device."""
    engine = Local(Options(jobs=3))
    assert len(engine._setups("cpu", 10, "accuracy")) == 3 and len(engine._setups("cpu", 10, "throughput")) == 1
    with patch.object(torch.accelerator, "device_count", return_value=2):
        assert [each.accelerator for each in engine._setups("cuda", 10, "throughput")] == [0, 1]
    assert [each.accelerator for each in engine._setups("cuda:1", 10, "throughput")] == [1]


def test_cells_that_no_memory_holds_are_rows(tmp_path, good):
    """Fault C9: too many parameters, too many draws; the cells beside them are the same."""
    problems = [{"distribution": {"name": "bernoulli", "size": [3, 10**9, 2**62]}, "objective": "quadratic_bits"}]
    wanted = suite(problems=problems, samples=[2, 4, 10**10], throughput={"max_seconds": 0.1})
    found = run(wanted, tmp_path, jobs=1, memory=2.0, where="samples <= 4 or distribution.size == 3")
    assert found.left == 0 and found.counts == {"ok": 4, "out_of_memory": 6, "failed": 4}
    assert sum("Storage size calculation overflowed" in each for each in found.failed) == 4
    kept = accuracy(tmp_path)
    kept = pd.DataFrame(kept[kept["status"] == "ok"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, accuracy(good), check_like=True)


def test_rerun_words(tmp_path):
    with pytest.raises(BadInput, match="did you mean 'missing'"):
        run(suite(), tmp_path / "out", rerun="mising")
    assert not (tmp_path / "out").exists()
