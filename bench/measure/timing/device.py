"""The device's own time of a step: a replayed CUDA graph between two events, else the events alone."""

from collections.abc import Callable

import torch

from bench.measure.execution.modes import capture
from bench.measure.timing.blocks import TimedBlock


def device_block(step: Callable[[], object], device: str) -> tuple[TimedBlock, str]:
    """Seconds of so many steps on an accelerator, and how they are found.

    A replay has no launches between its kernels, so its time is the kernels'. Where a step cannot be captured, the
    events stand around its launches, and the time has the device's waiting for them in it: `how` says so.
    """
    where = torch.device(device)
    if where.type != "cuda":
        return _between_events(step, where), "events around the steps, launches included"
    try:
        replay, _ = capture(step, where)
    except Exception as error:  # what may not be captured raises errors of many kinds, from the driver too
        torch.accelerator.synchronize()
        return _between_events(step, where), f"events around the steps, launches included; no graph: {_brief(error)}"
    return _between_events(replay, where), "graph replay between events"


def _between_events(step: Callable[[], object], device: torch.device) -> TimedBlock:
    def block(number: int) -> float:
        start, end = (torch.Event(device=device.type, enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(number):
            step()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1000

    return block


def _brief(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:100]
