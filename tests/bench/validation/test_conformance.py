"""`gradest check` of a user's own class: what ends its process, hangs or raises fails one check, with a sentence."""

from collections.abc import Callable
from pathlib import Path

import pytest

import bench
from estimators.errors import BadInput
from tests.support.sweeps import gradest

pytestmark = pytest.mark.usefixtures("forked_workers")
PLUG_IN = """
import os
import time
from dataclasses import dataclass
from estimators.score_function import Reinforce

@dataclass(frozen=True)
class Bad(Reinforce):
    def surrogate(self, q, f, n):
        {act}
        return super().surrogate(q, f, n)
"""


@pytest.fixture
def plug_in(tmp_path: Path) -> Callable[[str], str]:
    def write(act: str) -> str:
        file = tmp_path / "bad_subject.py"
        file.write_text(PLUG_IN.format(act=act))
        return f"{file}:Bad"

    return write


def test_a_class_that_ends_its_process_fails_a_check_and_the_exit_code_is_1(plug_in, tmp_path: Path):
    found = gradest("check", plug_in("os._exit(0)"), folder=tmp_path)
    assert found.returncode == 1
    assert "its process died with exit code 0" in " ".join(found.stdout.split())


def test_a_class_that_hangs_fails_a_check(plug_in, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bench.validation.checks.conformance.SECONDS_PER_CHECK", 10.0)
    found = bench.check(plug_in("time.sleep(1000)"))
    assert found.failed
    last = found.checks.iloc[-1]
    assert last["outcome"] == "failed" and last["detail"].startswith("its process took longer than 10 s; ")


def test_a_file_that_ends_its_process_when_it_is_imported_is_said(tmp_path: Path):
    file = tmp_path / "ends.py"
    file.write_text("import os\nos._exit(0)\n")
    with pytest.raises(BadInput, match=f"importing {file}:Any: the process died with exit code 0"):
        bench.check(f"{file}:Any")


def test_an_error_with_half_a_character_is_a_row(plug_in):
    found = bench.check(plug_in(r'raise ValueError("half \ud800 character")'))
    assert found.failed and found.checks["detail"].str.contains(r"half \ud800 character", regex=False).any()


def test_a_right_class_has_the_outcomes_that_it_has_in_this_process(plug_in):
    apart = bench.check(plug_in("pass")).checks
    assert set(apart["outcome"]) == {"passed"}
    assert [*apart["check"]] == [*bench.check("reinforce").checks["check"]]
