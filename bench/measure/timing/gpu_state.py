"""The state of a GPU around a timed cell, from NVML: reported with the time, with a flag if the GPU throttled. It is
never used to discard a time."""

from dataclasses import dataclass
from typing import Any

import torch

THROTTLED = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
"""NVML's reasons for reduced clocks (nvmlClocksEventReasons), without idle and user settings."""


@dataclass(frozen=True)
class Clocks:
    """SM clock in MHz, power in W, temperature in °C, and NVML's mask of reasons for a lower clock."""

    sm: int
    power: float
    temperature: int
    reasons: int


def clocks(device: str) -> Clocks | None:
    """The current state of the GPU; None if the device is not an NVIDIA GPU or NVML (the extra `gpu`) is missing."""
    where = torch.device(device)
    if where.type != "cuda":
        return None
    try:
        import pynvml as nvml  # pyright: ignore[reportMissingImports]

        nvml.nvmlInit()
        uuid = torch.cuda.get_device_properties(where).uuid
        return _read(nvml, nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}"))
    except Exception:  # a driver without NVML, a container without rights, ROCm: timing goes on
        return None


def _read(nvml: Any, gpu: Any) -> Clocks:
    return Clocks(
        sm=nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM),
        power=nvml.nvmlDeviceGetPowerUsage(gpu) / 1000,
        temperature=nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU),
        reasons=nvml.nvmlDeviceGetCurrentClocksEventReasons(gpu),
    )


def clocks_in_words(before: Clocks | None, after: Clocks | None) -> str:
    """The change of clocks, power and temperature in words, for the row's method; empty if it is not known.

    >>> clocks_in_words(Clocks(1980, 120.0, 40, 0), Clocks(1755, 690.0, 71, 4))
    'SM 1980 to 1755 MHz, 120 to 690 W, 40 to 71 °C, THROTTLED: power cap'
    """
    if before is None or after is None:
        return ""
    reasons = [word for bit, word in THROTTLED.items() if (before.reasons | after.reasons) & bit]
    flag = f", THROTTLED: {', '.join(reasons)}" if reasons else ""
    return (
        f"SM {before.sm} to {after.sm} MHz, {before.power:.0f} to {after.power:.0f} W, "
        f"{before.temperature} to {after.temperature} °C{flag}"
    )
