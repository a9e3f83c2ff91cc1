"""What is recorded of a machine with a GPU, on a driver that is made up."""

import sys
from types import SimpleNamespace

import torch

from bench.provenance import machine


def _nvml(**more: object) -> SimpleNamespace:
    known = {
        "nvmlInit": lambda: None,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlSystemGetDriverVersion": lambda: "580.1",
        "nvmlDeviceGetMigMode": lambda gpu: (1, 1),
        "nvmlDeviceGetMaxClockInfo": lambda gpu, clock: 1980,
        "nvmlDeviceGetPowerManagementLimit": lambda gpu: 700_000,
        "NVML_CLOCK_SM": 1,
    }
    return SimpleNamespace(**known | more)


def _no_mig(gpu: int) -> None:
    raise OSError("not supported")


def test_driver_precision_and_limits_of_a_gpu_are_recorded(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", _nvml())
    found = machine.cuda_facts()
    assert found["float32_matmul_precision"] == torch.get_float32_matmul_precision()
    assert (found["driver"], found["mig"], found["sm_mhz_most"], found["power_limit_w"]) == ("580.1", True, 1980, 700.0)


def test_a_fact_that_a_gpu_lacks_does_not_hide_the_others(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", _nvml(nvmlDeviceGetMigMode=_no_mig))
    found = machine.cuda_facts()
    assert "mig" not in found
    assert found["driver"] == "580.1"


def test_without_nvml_torchs_own_facts_are_left(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert set(machine.cuda_facts()) == {"cuda", "float32_matmul_precision"}
