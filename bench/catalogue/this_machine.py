"""The machine: its recorded properties and its measured limits."""

from typing import Any

from bench.measure.timing.ceilings import measured_ceilings
from bench.provenance import machine
from bench.system.optional import missing_parts
from estimators.errors import BadInput


def environment(*, measure: bool = False, device: str | None = None, dtype: str | None = None) -> dict[str, Any]:
    """Describes this machine: versions, processor, memory, accelerators.

    Args:
        measure: Also measure the machine's limits: random numbers, copies and matrix products per second.
        device: Device whose limits are measured. Default: cpu.
        dtype: float32 or float64. Default: float32.

    Returns:
        A dict of plain values; with `measure`, its item "ceilings" is the list of limits. Where the operating system
        lacks what Linux has, the item "missing" says what, and what follows.

    Raises:
        BadInput: There is no such device or dtype, or one was given without `measure`.
    """
    if (device or dtype) and not measure:
        raise BadInput("--device and --dtype apply only to the measured limits; add --measure")
    found = dict(machine.machine_environment())
    if missing := missing_parts():
        found["missing"] = missing
    if measure:
        found["ceilings"] = measured_ceilings(device or "cpu", dtype or "float32")
    return found
