"""The machine and the package versions that a result was measured with."""

import os
import platform
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from bench.provenance.identity import json_digest
from bench.system.optional import memory_of_machine, processor_name

PACKAGES = ("gradest", "torch", "numpy", "scipy", "pandas", "scikit-learn")


@cache
def machine_environment() -> dict[str, Any]:
    """Returns the recorded facts of this machine: no host names, no addresses, no paths."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_bytes": memory_of_machine(),
        "accelerators": accelerators(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        **{name: _version(name) for name in PACKAGES},
        **(cuda_facts() if torch.cuda.is_available() else {}),
    }


def environment_key() -> str:
    """Returns the digest of `machine_environment()`: the value of the column `env`."""
    return json_digest(machine_environment())


def processor() -> str:
    """Returns the processor's name, as the operating system reports it."""
    return processor_name() or platform.processor() or platform.machine()


def accelerators() -> list[str]:
    """Returns the names of the CUDA devices that torch sees."""
    if not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def cuda_facts() -> dict[str, Any]:
    """Returns what times on a GPU depend on beside its name: CUDA, driver, precision of products, MIG, clocks."""
    return {
        "cuda": torch.version.cuda or "",
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        **_driver_facts(),
    }


def _driver_facts() -> dict[str, Any]:
    """The facts that NVML (the extra `gpu`) knows of the first GPU; empty without it."""
    try:
        import pynvml as nvml  # pyright: ignore[reportMissingImports]

        nvml.nvmlInit()
        gpu = nvml.nvmlDeviceGetHandleByIndex(0)
        facts: dict[str, Any] = {"driver": str(nvml.nvmlSystemGetDriverVersion())}
        reads = {
            "mig": lambda: bool(nvml.nvmlDeviceGetMigMode(gpu)[0]),
            "sm_mhz_most": lambda: nvml.nvmlDeviceGetMaxClockInfo(gpu, nvml.NVML_CLOCK_SM),
            "power_limit_w": lambda: nvml.nvmlDeviceGetPowerManagementLimit(gpu) / 1000,
        }
    except Exception:  # a driver without NVML, a container without rights, ROCm
        return {}
    for name, read in reads.items():
        with suppress(Exception):  # a GPU without this fact, such as one without MIG
            facts[name] = read()
    return facts


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
