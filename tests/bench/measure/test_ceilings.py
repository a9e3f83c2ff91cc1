"""A device's ceilings: what they count, that they are real, and that a run keeps them."""

import pytest
import torch

from bench.measure.timing import ceilings
from bench.measure.timing.blocks import ThroughputSettings
from bench.measure.timing.ceilings import CEILINGS, load_ceilings, note, one_thread


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(ceilings, "CEILING_SETTINGS", ThroughputSettings(0.3, 0.02))


def test_amounts():
    amounts = {name: each.amount(torch.zeros(4, 4)) for name, each in CEILINGS.items()}
    assert amounts == {
        "uniform_per_second": 16,
        "normal_per_second": 16,
        "copy_bytes_per_second": 128,
        "matmul_flops_per_second": 128,
    }


def test_steps_do_what_they_say():
    x = torch.full((4, 4), 2.0)
    assert torch.equal(CEILINGS["copy_bytes_per_second"].step(x)(), x)
    assert torch.equal(CEILINGS["matmul_flops_per_second"].step(x)(), x @ x)
    assert 0 <= CEILINGS["uniform_per_second"].step(x)().min() < 1
    assert CEILINGS["normal_per_second"].step(x)().min() < 0


def test_measured_for_real_on_one_thread_keeping_the_generator():
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    rows = ceilings.ceilings()
    assert [row["metric"] for row in rows] == [*CEILINGS]
    assert all(1e6 < row["ci_low"] <= row["value"] <= row["ci_high"] < 1e14 for row in rows)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.get_num_threads() == threads
    with one_thread():
        assert torch.get_num_threads() == 1


def test_a_run_keeps_them_once_per_device_and_dtype(tmp_path):
    note(tmp_path, [("cpu", "float64"), ("cpu", "float32")])
    note(tmp_path, [("cpu", "float64")])
    with (tmp_path / ceilings.FILE).open("a") as file:
        file.write('{"torn')
    found = load_ceilings(tmp_path)
    assert len(found) == 2 * len(CEILINGS)
    assert set(found["dtype"]) == {"float32", "float64"}
    assert (found["value"].to_numpy() > 0).all()


def test_a_folder_without_them_has_an_empty_table(tmp_path):
    assert load_ceilings(tmp_path).empty
