"""What a step is told on its command line."""

import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Asked:
    """The folder of the results, the device, and whether a part of the work is enough."""

    out: Path
    device: str
    short: bool


def asked() -> Asked:
    """From `OUT DEVICE short|whole`."""
    out, device, work = sys.argv[1:4]
    return Asked(Path(out), device, work == "short")
