"""Checks devices against this machine, and gives each device's default dtype."""

import torch

from estimators.errors import BadInput


def check_device(device: str) -> None:
    """Raises BadInput if torch does not have this device."""
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


def default_dtype(device: str) -> str:
    """float64 on a CPU, float32 on an accelerator, where float64 is slow or missing. References are always float64."""
    return "float64" if device == "cpu" else "float32"
