"""The worker process of a recommendation: what hangs, dies or eats the memory costs its own turn alone."""

import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bench.advice.parcel import Parcel
from bench.advice.recommendation import model_source
from bench.advice.turns import Turn, TurnResult
from bench.advice.workers import TaskFailed, WorkerProcess
from tests.support.forked import script_forked
from tests.support.own_models import TEN_LINES
from tests.support.sweeps import gradest

PLUG_INS = """
    import os
    import time
    from dataclasses import dataclass
    import torch
    from estimators import Estimator, Need, Traits, register
    from estimators.score_function import Reinforce

    class Bad(Reinforce):
        def surrogate(self, q, f, n):
            self.act()
            return super().surrogate(q, f, n)

    @register("hangs")
    @dataclass(frozen=True)
    class Hangs(Bad):
        def act(self):
            time.sleep(600)

    @register("ends")
    @dataclass(frozen=True)
    class Ends(Bad):
        def act(self):
            os._exit(0)

    @register("eats")
    @dataclass(frozen=True)
    class Eats(Bad):
        def act(self):
            kept = [torch.empty(2**27) for _ in range(4000)]
"""
FAULTS = {
    "hangs": "took longer than 3 s",
    "ends": "died with exit code 0",
    "eats": "out of memory|RuntimeError|MemoryError|can't allocate",
}


@pytest.mark.usefixtures("forked_workers")
def test_a_turn_that_hangs_dies_or_eats_the_memory_ends_alone(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("bench.advice.workers.memory_of_a_worker", lambda: 3 * 2**30)
    path, plug_in = write(TEN_LINES), write(PLUG_INS, "bad_estimators.py")
    with closing(WorkerProcess(model_source(path, plugin=[plug_in]))) as worker:
        opening = worker.do("open", None, (2,), False, seconds=120.0)
        assert {"hangs", "ends", "eats"} <= {each.name for each in opening.entrants.racing}
        turn = lambda name: Turn(by_name(opening, name), 2, 5, 64, 1.0, 2.0)  # noqa: E731
        first = worker.do("turn", turn("rloo"), seconds=60.0)
        for name, says in FAULTS.items():
            with pytest.raises(TaskFailed, match=says):
                worker.do("turn", turn(name), seconds=3.0 if name == "hangs" else 60.0)
        again = worker.do("turn", turn("rloo"), seconds=60.0)
        assert isinstance(first, TurnResult) and isinstance(again, TurnResult) and again.moments.count >= 8


def by_name(opening: Any, name: str) -> Parcel:
    return next(each.estimator for each in opening.entrants.racing if each.name == name)  # type: ignore[attr-defined]


ENDING = """
    import os
    import torch
    from torch.distributions import Bernoulli, Independent
    calls = 0
    parameters = torch.zeros(4)
    def distribution(logits):
        return Independent(Bernoulli(logits=logits), 1)
    def objective(z):
        global calls
        calls += 1
        if calls > {most}:
            {act}
        return z.sum(-1)
"""


@pytest.mark.usefixtures("forked_workers")
def test_an_objective_that_ends_its_process_is_said_with_exit_code_1(write: Callable[..., Path], tmp_path: Path):
    path = write(textwrap.dedent(ENDING).format(most=5, act="os._exit(0)"))
    found = gradest("recommend", path, "--seconds", "5", folder=tmp_path)
    assert found.returncode == 1 and found.stdout == ""
    assert "the process in which the model was loaded and checked died with exit code 0" in found.stderr
    assert "Traceback" not in found.stderr


SCRIPT = """
    import torch
    from torch.distributions import Bernoulli, Independent
    import bench

    print("begins")
    found = bench.recommend(
        parameters=torch.zeros(4),
        distribution=lambda t: Independent(Bernoulli(logits=t), 1),
        objective=lambda z: 10 + z.sum(-1).square(),
        estimators=["rloo", "reinforce"], seconds=1, samples=[2],
    )
    print(found.estimator, found.road)
"""


def test_a_script_needs_no_guard_and_its_functions_reach_the_worker(write: Callable[..., Path], tmp_path: Path):
    found = script_forked(write(SCRIPT, "script.py"), folder=tmp_path)
    assert found.stdout.splitlines() == ["begins", "rloo batched"], found.stderr


@pytest.mark.slow  # a turn that hangs: above
def test_a_hanging_objective_ends_within_the_time(write: Callable[..., Path]):
    """It hangs from its 300th call on: each process has some turns, then its turn is ended."""
    path = write(textwrap.dedent(ENDING).format(most=300, act="__import__('time').sleep(600)"))
    start = time.monotonic()
    said = [sys.executable, "-m", "bench.cli", "recommend", str(path)]
    options = ["--seconds", "4", "--estimators", "rloo,reinforce", "--samples", "2"]
    found = subprocess.run([*said, *options], capture_output=True, text=True, timeout=240, check=False)
    assert found.returncode in (0, 1, 3) and "Traceback" not in found.stderr
    assert time.monotonic() - start < 200
