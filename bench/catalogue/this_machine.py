"""The machine: what is recorded of it, and what it can do at most."""

from typing import Any

from bench.measure.timing.ceilings import measured_ceilings
from bench.provenance import machine
from estimators.errors import BadInput


def environment(*, measure: bool = False, device: str | None = None, dtype: str | None = None) -> dict[str, Any]:
    """Says what is recorded about this machine: versions, processor, memory, accelerators.

    Args:
        measure: Measures its ceilings, too: random numbers, copies and matrix products per second.
        device: Device whose ceilings are measured. Default: cpu.
        dtype: float32 or float64. Default: float32.

    Returns:
        A dict of plain values; with `measure`, a list of ceilings as its item "ceilings".

    Raises:
        BadInput: There is no such device or dtype, or one was given without `measure`.
    """
    if (device or dtype) and not measure:
        raise BadInput("--device and --dtype are of the ceilings; say --measure, too")
    found = dict(machine.machine_environment())
    if measure:
        found["ceilings"] = measured_ceilings(device or "cpu", dtype or "float32")
    return found
