"""Times a step on the device's own clock: a replayed CUDA graph between two events, or else the step itself."""

from collections.abc import Callable

import torch

from bench.measure.execution.modes import capture
from bench.measure.timing.blocks import TimedBlock


def device_block(step: Callable[[], object], device: str) -> tuple[TimedBlock, str]:
    """Returns a timed block of a step on an accelerator, and the method in words.

    A replay has no launches between its kernels, so its time is that of the kernels. If a step cannot be captured, the
    events enclose its launches, and the time includes the device's waiting for launches; the method says so.
    """
    where = torch.device(device)
    if where.type != "cuda":
        return _between_events(step, where), "events around the steps, launches included"
    try:
        replay, _ = capture(step, where)
    except Exception as error:  # a failed capture raises many kinds of errors, also from the driver
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
