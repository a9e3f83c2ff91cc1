"""Checks devices against this machine, and gives each device's default dtype."""

import torch

from estimators.errors import BadInput


def check_device(device: str) -> None:
    """Raises BadInput if torch does not have this device, or if the device lacks float64."""
    try:
        wanted = torch.device(device)
    except RuntimeError:
        raise BadInput(f"there is no device {device!r}; write cpu, cuda or cuda:0") from None
    if wanted.type == "cpu":
        return
    there = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if there is None or there.type != wanted.type:
        raise BadInput(
            f"there is no device {device!r} on this machine; it has cpu{f' and {there.type}' if there else ''}"
        )
    if wanted.index is not None and wanted.index >= torch.accelerator.device_count():
        raise BadInput(
            f"there is no device {device!r} on this machine; "
            f"the last is {wanted.type}:{torch.accelerator.device_count() - 1}"
        )
    if _without_float64(wanted.type):
        raise BadInput(
            f"{device!r} has no float64, in which gradest sums what it measures: measure on the CPU (--device cpu), "
            "where bias and variance are the same; in training, estimators run on this device in float32"
        )


def _without_float64(kind: str) -> bool:
    """Whether a device of this kind lacks float64, as Apple's GPUs do."""
    try:
        torch.zeros(1, dtype=torch.float64, device=kind)
    except (TypeError, RuntimeError):
        return True
    return False


def default_dtype(device: str) -> str:
    """float64 on a CPU, float32 on an accelerator, where float64 is slow or missing. References are always float64."""
    return "float64" if device == "cpu" else "float32"
