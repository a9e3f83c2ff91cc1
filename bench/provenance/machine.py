"""The machine and the package versions that a result was measured with."""

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from bench.provenance.identity import json_digest

PACKAGES = ("gradest", "torch", "numpy", "scipy", "pandas", "scikit-learn")


@cache
def machine_environment() -> dict[str, Any]:
    """Returns the recorded facts of this machine: no host names, no addresses, no paths."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "accelerators": accelerators(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        **{name: _version(name) for name in PACKAGES},
    }


def environment_key() -> str:
    """Returns the digest of `machine_environment()`: the value of the column `env`."""
    return json_digest(machine_environment())


def processor() -> str:
    """Returns the processor's name, as the operating system reports it."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def accelerators() -> list[str]:
    """Returns the names of the CUDA devices that torch sees."""
    if not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
