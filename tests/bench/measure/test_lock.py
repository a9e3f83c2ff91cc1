"""One timed cell per physical device at a time: the lock's name, and who waits for it."""

import fcntl
from contextlib import closing, contextmanager
from types import SimpleNamespace

import pytest
import torch

from bench.isolation import process
from bench.isolation.process import Process
from bench.measure.timing.lock import physical
from bench.sweeps import windows
from bench.sweeps.engines.isolated import Isolated, wait_for_workers
from bench.sweeps.worker import Setup
from tests.support import tasks
from tests.support.siege import CHEAP
from tests.support.sweeps import small_cells


@pytest.fixture
def visible(monkeypatch):
    """Makes torch see these GPUs, by UUID; the first is the current one."""

    def see(*uuids):
        properties = [SimpleNamespace(uuid=uuid) for uuid in uuids]
        module = SimpleNamespace(get_device_properties=properties.__getitem__)
        monkeypatch.setattr(torch, "get_device_module", lambda device: module)
        monkeypatch.setattr(torch.accelerator, "current_device_index", lambda: 0)

    return see


def test_two_workers_that_see_one_gpu_each_have_two_locks(visible):
    """CUDA_VISIBLE_DEVICES 0 and 1: both call theirs `cuda`."""
    visible("first")
    own = physical("cuda")
    visible("second")
    assert own != physical("cuda") == physical("cuda:0")


def test_one_gpu_under_two_numbers_has_one_lock(visible):
    """CUDA_VISIBLE_DEVICES 0,1 and 1,0, and all of them."""
    visible("first", "second")
    first, second = physical("cuda:0"), physical("cuda:1")
    visible("second", "first")
    assert (physical("cuda:1"), physical("cuda:0")) == (first, second) and physical("cuda") == second
    assert len({first, second, physical("cpu")}) == 3


def test_devices_without_a_uuid_go_by_their_number(visible, monkeypatch):
    visible(None, None)
    assert physical("xpu:1") == "xpu-1" and physical("xpu") == "xpu-0"
    monkeypatch.setattr(torch, "get_device_module", lambda device: SimpleNamespace())  # as torch.mps
    assert physical("mps") == "mps-0"


@pytest.fixture
def held(tmp_path, monkeypatch):
    """A process that holds the CPU's lock in its own folder until it is closed; it and workers are forked here."""
    monkeypatch.setattr(process, "SPAWN", CHEAP)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with closing(Process(tasks.holds, "cpu")) as holder:
        holder.do(None)
        yield holder


def test_a_timed_cell_waits_for_another_process_outside_its_time_limit(held):
    """As if it had waited for ten hours: no time limit runs; when the other process ends, it is measured."""
    (cell,) = small_cells(samples=2, estimators=["rloo"], metrics=["throughput"], throughput={"max_seconds": 0.01})
    with closing(Isolated(Setup(), limit=600.0)) as worker:
        turns = told(worker)
        while not worker.idle:
            wait_for_workers([worker])
            worker.take()
        worker.give((cell,), "throughput")
        while len(turns) < 2:  # once when it is given, once when it says that it waits
            wait_for_workers([worker])
            assert worker.take() is None
        clock = process.time.monotonic
        with pytest.MonkeyPatch.context() as later:
            later.setattr(process.time, "monotonic", lambda: clock() + 36000)
            assert worker.take() is None
        assert turns == [windows.NOBODY] * 2
        held.close()
        while (answer := worker.take()) is None:
            wait_for_workers([worker])
        assert 0 in turns[2:]
    ((_, record),) = answer.records
    assert record["status"] == "ok"


def told(worker):
    """The places whose turns begin, as they come."""
    turns, turn = [], worker._turn
    worker._turn = lambda place: (turns.append(place), turn(place))
    return turns


def test_the_lock_keeps_others_out_until_its_process_ends(held, tmp_path):
    (path,) = tmp_path.glob("*.lock")
    with path.open() as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held.close()
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_window_waits_before_its_first_turn_and_holds_the_device_to_its_end(monkeypatch):
    """Also while its cells are opened: what that does on the device would be in another's time."""
    happened = []

    @contextmanager
    def noted(device):
        happened.append(device)
        yield
        happened.append("free")

    monkeypatch.setattr(windows, "alone", noted)
    every = small_cells(metrics=["throughput"], throughput={"max_seconds": 0.01})[:2]
    windows.measure_window(every, happened.append)
    turns = [each for each in happened[2:-1] if each != windows.NOBODY]
    assert happened[:2] == [windows.NOBODY, "cpu"] and happened[-1] == "free" and turns[:4] == [0, 1, 0, 1]
