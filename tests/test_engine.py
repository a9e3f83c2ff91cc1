"""Many cells in worker processes."""

import textwrap

import pandas as pd
import pytest

from bench import verbs
from bench.engine import run
from bench.store import load
from estimators.errors import BadInput
from tests.sweeps import suite

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
            os._exit(7)

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
def good(tmp_path_factory):
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


def test_bad_cells_are_rows_and_the_good_ones_stay_the_same(good, tmp_path):
    """One sweep on two workers with cells that raise, die, hang and give NaN."""
    (tmp_path / "bad.py").write_text(BAD)
    mixed = ["raises", "rloo", "dies", "hangs", "reinforce", "nan"]
    found = verbs.run(
        _toml(tmp_path, mixed), tmp_path / "mixed", jobs=2, timeout=15.0, plugins=[tmp_path / "bad.py"],
        where="samples == 2 or estimator in ['rloo', 'reinforce']",
    )  # fmt: skip
    assert found.counts == {"ok": 4, "failed": 1, "crashed": 1, "timeout": 1, "nonfinite": 1}
    table = load(tmp_path / "mixed")
    reasons = table[table["status"] != "ok"].set_index("estimator")["reason"]
    assert "no such thing" in reasons["raises"] and "bad.py" in reasons["raises"]
    assert "exit code 7" in reasons["dies"] and "longer than 15 s" in reasons["hangs"]
    assert table.loc[table["estimator"] == "nan", "metric"].isna().all()
    assert set(table["plugin"]) == {"", *(f"gradest_plugin_bad.{n}" for n in ("Raises", "Dies", "Hangs", "Nan"))}
    whole = accuracy(tmp_path / "mixed")
    pd.testing.assert_frame_equal(whole, accuracy(good), check_like=True)


def _toml(folder, estimators):
    path = folder / "suite.toml"
    names = ", ".join(f'"{name}"' for name in estimators)
    path.write_text(
        f"""samples = [2, 4]\nmetrics = ["accuracy"]\nestimators = [{names}]\naccuracy = {{ max_replicates = 1024 }}
throughput = {{ max_seconds = 0.1 }}
[[problems]]\ndistribution = {{ name = "bernoulli", size = 3 }}\nobjective = "quadratic_bits"\n"""
    )
    return path


def test_rerun_words(tmp_path):
    with pytest.raises(BadInput, match="did you mean 'missing'"):
        run(suite(), tmp_path / "out", rerun="mising")
    assert not (tmp_path / "out").exists()
