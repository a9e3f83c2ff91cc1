"""A separate process: how tasks end, what dies with it, what reaches its parent."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from multiprocessing.connection import wait
from pathlib import Path

import psutil
import pytest

from bench.isolation import process
from bench.isolation.child import Said
from bench.isolation.endings import Died, Garbled, OutOfMemory, Raised, Returned, TimedOut
from bench.isolation.process import Process, wait_for
from estimators.errors import BadInput
from tests.support import tasks

ROOT = Path(__file__).parents[3]


def heard(worker):
    """The next that it says, or how its task ended."""
    while (said := worker.take()) is None:
        wait_for([worker])
    return said


def ready(worker):
    while not worker.idle:
        wait_for([worker])
        worker.take()
    return worker


def gone(*pids):
    """Whether these processes end, or have ended: by then they are killed, and the system only has to notice."""
    there = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    _, alive = psutil.wait_procs(there, timeout=60)
    return not [each for each in alive if each.status() != psutil.STATUS_ZOMBIE]


def test_one_process_does_task_after_task_and_tells_on_the_way():
    messages = []
    with closing(Process(tasks.start)) as worker:
        first = worker.do(("pid",))
        assert worker.do(("count", 3), heard=messages.append) == Returned(3) and messages == [0, 1, 2]
        assert worker.do(("pid",)) == first == Returned(worker.pid) and worker.pid != os.getpid()
    assert gone(worker.pid)


def test_only_those_with_news_or_at_their_limit_are_asked():
    with closing(Process(tasks.start)) as quiet, closing(Process(tasks.start)) as busy:
        both = [ready(quiet), ready(busy)]
        busy.send(("pid",))
        while 1 not in (asked := wait_for(both)):  # all of them after a second without news
            pass
        assert asked in ([1], [0, 1]) and heard(busy) == Returned(busy.pid)
        quiet.deadline = 0.0
        assert wait_for(both) == [0]
        quiet.deadline = process.inf
        assert wait_for(both) == [0, 1]


def test_every_end_has_its_type_and_the_next_task_goes_on():
    with closing(Process(tasks.start, memory=2**32)) as worker:
        raised = worker.do(("wrong",))
        assert isinstance(raised, Raised) and str(raised) == "ValueError: no such thing" and "tasks.py" in raised.trace
        assert isinstance(worker.do(("greedy",)), OutOfMemory)
        same = worker.do(("pid",))
        for task, code in ((("leaves",), 0), (("leaves", 7), 7), (("crashes",), -signal.SIGSEGV)):
            ending = worker.do(task)
            assert isinstance(ending, Died) and ending.code == code
            assert isinstance(worker.do(("pid",)), Returned)
        assert worker.do(("pid",)) != same, "a fresh process"
        assert worker.do(("aborts_for_memory",)) == OutOfMemory("std::bad_alloc")
        unsendable = worker.do(("unsendable",))
        assert isinstance(unsendable, Raised) and "its answer cannot be sent" in unsendable.text
        assert worker.do(("count", 2)) == Returned(2)


def test_a_process_that_a_task_forked_does_not_answer():
    """Faults of fork: the answer of another task, and a task that is taken by the wrong process."""
    with closing(Process(tasks.start)) as worker:
        for _ in range(3):
            assert worker.do(("forks",)) == Returned(worker.pid)
            assert worker.do(("count", 2)) == Returned(2)


def test_garbage_in_the_pipe_replaces_the_process():
    with closing(Process(tasks.start)) as worker:
        before = worker.do(("pid",))
        assert worker.do(("garbles",)) == Garbled() and worker.do(("pid",)) not in (before, Garbled())


def test_an_exit_is_an_error_of_the_task():
    with closing(Process(tasks.start)) as worker:
        ending = worker.do(("exits",))
        assert isinstance(ending, Raised) and str(ending) == "SystemExit: 0" and worker.tasks == 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("program", [False, True])
@pytest.mark.parametrize("then", ["pid", "leaves", "crashes"])
def test_a_daemon_ends_with_the_process_whose_task_started_it(program, then):
    """Its parent has ended, and nothing that it could drop ties it to the process: fault C15, however the task ends."""
    heard = []
    with closing(Process(tasks.start)) as worker:
        worker.do(("daemon", program, then), heard=heard.append)
        assert psutil.pid_exists(heard[0]) if then == "pid" else gone(*heard)
    assert gone(*heard)


@pytest.mark.parametrize(
    ("then", "ending"), [("pid", Returned), ("leaves", Died), ("crashes", Died), ("hangs", TimedOut)]
)
def test_what_a_task_started_dies_with_its_process(then, ending):
    """A child of the child, however the task ends: at the latest when the process is closed."""
    with closing(ready(Process(tasks.start))) as worker:
        worker.send(("sleeper", then))
        said = heard(worker)
        assert isinstance(said, Said) and psutil.Process(said.message).is_running()
        if then == "hangs":
            assert heard(worker) == Said("hangs")
            worker.deadline = 0.0  # as if its time were up
        assert isinstance(heard(worker), ending)
        assert then == "pid" or gone(said.message)
    assert gone(said.message)


SCRIPT = """
import sys
from bench.isolation.process import Process, wait_for
from tests.support import tasks
if __name__ == "__main__":
    worker = Process(tasks.start)
    worker.do(("count", 1), heard=lambda message: None)
    {then}
"""
HANGS = """
    print(worker.pid, flush=True)
    worker.do(("sleeper", "daemon", False, "daemon", True, "hangs"), heard=lambda message: print(message, flush=True))
"""
ALL_IN_ONE = """
    print(next(line for line in open(f"/proc/{worker.pid}/status") if line[:6] == "SigBlk").split()[1])
    print(worker.do(("prints", "noise")))
    worker.do(("sleeper", "pid"))
    worker.close()
"""


def script(folder, then):
    path = folder / "script.py"
    path.write_text(SCRIPT.format(then=then))
    return subprocess.Popen(
        [sys.executable, path],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def test_a_parent_that_is_killed_takes_everything_with_it(tmp_path):
    """Its process, and what that started, daemons too; and the pipe that it printed to is closed."""
    parent = script(tmp_path, HANGS)
    with parent:
        assert parent.stdout
        pids = [int(parent.stdout.readline()) for _ in range(4)]
        assert parent.stdout.readline() == "hangs\n"
        parent.kill()
        assert gone(*pids)
        parent.communicate(timeout=120)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the mask of signals in /proc")
def test_a_caller_reads_the_parents_own_words_to_their_end(tmp_path):
    """Not what its processes print, of which the end is told; fault C15: a child's child kept the caller's pipe open.

    Ctrl-C is masked in the first process too, with which Python's resource tracker starts, which unblocks the signal.
    """
    mask, died = script(tmp_path, ALL_IN_ONE).communicate(timeout=120)[0].splitlines()
    assert int(mask, 16) & 1 << signal.SIGINT - 1
    assert died == "died with exit code 3: inner noise"


def test_much_that_is_printed_neither_blocks_nor_piles_up():
    with closing(Process(tasks.start)) as worker:
        ending = worker.do(("prints", "x" * 50_000 + "end"))
    assert isinstance(ending, Died) and len(ending.printed) == process.TAIL
    assert str(ending).startswith("died with exit code 3: xxx")


def test_one_that_never_stops_printing_runs_out_of_time():
    with closing(ready(Process(tasks.start))) as worker:
        worker.send(("chatters",))
        assert heard(worker) == Said("chatters")
        worker.deadline = 0.0
        assert isinstance(heard(worker), TimedOut)


def test_one_that_dies_between_tasks_is_replaced():
    """What a pool with one pipe for all does not survive: killed from outside while it has nothing to do."""
    with closing(ready(Process(tasks.start))) as worker:
        died = worker.pid
        os.kill(died, signal.SIGKILL)
        wait([worker._process.sentinel])
        assert worker.do(("pid",)) == Returned(worker.pid) and worker.pid != died


def test_the_time_of_a_task_counts_from_when_the_process_is_ready():
    """The deadline of one that starts is another's: how long it may take to be ready."""
    with closing(Process(tasks.start)) as worker:
        assert 0 < worker.deadline - process.time.monotonic() <= process.STARTING
        assert ready(worker).deadline == float("inf")
        assert worker.do(("hangs",), seconds=0.01) == TimedOut(0.01)
        assert worker.do(("count", 1), seconds=600.0) == Returned(1) and worker.deadline == float("inf")


def test_one_that_cannot_start(monkeypatch):
    """It raises, it dies at once, or it is never ready."""
    refused = pytest.raises(BadInput, match="a worker cannot start: ValueError: no such thing")
    with closing(Process(tasks.start, "wrong")) as worker, refused:
        worker.do(("pid",))
    refused = pytest.raises(BadInput, match=f"it died with exit code 0, {process.FALSE_STARTS} times")
    with closing(Process(tasks.start, "leaves")) as worker, refused:
        worker.do(("pid",))
    monkeypatch.setattr(process, "STARTING", -1.0)
    refused = pytest.raises(BadInput, match="a worker cannot start: it was not ready after")
    with closing(Process(tasks.start)) as worker, refused:
        worker.do(("pid",))


def test_closed_from_another_thread_a_task_has_died():
    with closing(ready(Process(tasks.start))) as worker:
        closes = threading.Thread(target=worker.close)
        assert isinstance(worker.do(("hangs",), heard=lambda message: closes.start()), Died)
        closes.join()
        assert isinstance(worker.do(("pid",)), Died), "it stays closed"
