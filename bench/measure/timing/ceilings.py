"""What a device can do at most: random numbers, copies and matrix products per second, measured as cells are timed.

A timed cell is judged by them: no arrangement of an estimator moves or multiplies faster, or draws faster by torch's
generator. Compiled steps on a CPU draw by a quicker generator (`bench.measure.execution.counter_rng`): the cost of its
numbers is timed beside each cell, as `random_seconds_per_estimate`. A run that times cells leaves the ceilings in
`ceilings.jsonl`, a line per ceiling, device and dtype.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from bench.measure.estimates.batching import CACHE
from bench.measure.execution.devices import check_device
from bench.measure.execution.modes import kept_generator
from bench.measure.timing.blocks import ThroughputSettings, timed
from bench.measure.timing.throughput import wall
from bench.provenance.machine import environment_key
from estimators.errors import BadInput, nearest

CEILING_SETTINGS = ThroughputSettings(precision=0.02, max_seconds=0.4)
FILE = "ceilings.jsonl"


@dataclass(frozen=True)
class Ceiling:
    """`step(x)` makes what is timed of a tensor of zeros, and `amount(x)` counts what that does of the unit.

    `sizes` of x: on a CPU, on an accelerator.
    """

    unit: str
    sentence: str
    sizes: tuple[tuple[int, ...], tuple[int, ...]]
    amount: Callable[[Tensor], float]
    step: Callable[[Tensor], Callable[..., Tensor]]


def copies(x: Tensor) -> Callable[[], Tensor]:
    """Copies x to one place."""
    out = torch.empty_like(x)
    return lambda: out.copy_(x)


def products(x: Tensor) -> Callable[[], Tensor]:
    """Multiplies x by itself into one place."""
    out = torch.empty_like(x)
    return lambda: torch.mm(x, x, out=out)


CEILINGS = {
    "uniform_per_second": Ceiling(
        "numbers/s",
        "Uniform numbers drawn by torch into a buffer of a chunk's size.",
        ((CACHE,), (2**26,)),
        lambda x: x.numel(),
        lambda x: x.uniform_,
    ),
    "normal_per_second": Ceiling(
        "numbers/s",
        "Normal numbers drawn by torch into a buffer of a chunk's size.",
        ((CACHE,), (2**26,)),
        lambda x: x.numel(),
        lambda x: x.normal_,
    ),
    "copy_bytes_per_second": Ceiling(
        "bytes/s",
        "Bytes read and written by a copy that no cache holds.",
        ((2**24,), (2**28,)),
        lambda x: 2 * x.numel() * x.element_size(),
        copies,
    ),
    "matmul_flops_per_second": Ceiling(
        "1/s",
        "Multiplications and additions of a square matrix product.",
        ((1024, 1024), (8192, 8192)),
        lambda x: 2 * len(x) ** 3,
        products,
    ),
}


def ceilings(device: str = "cpu", dtype: torch.dtype = torch.float32) -> list[dict[str, Any]]:
    """Each ceiling of a device with its 95 % interval, on as many threads as cells are measured with: one."""
    with one_thread(), kept_generator(device):
        return [_measured(name, ceiling, device, dtype) for name, ceiling in CEILINGS.items()]


def _measured(name: str, ceiling: Ceiling, device: str, dtype: torch.dtype) -> dict[str, Any]:
    size = ceiling.sizes[torch.device(device).type != "cpu"]
    x = torch.zeros(size, device=device, dtype=dtype)
    timing = timed(wall(ceiling.step(x)), CEILING_SETTINGS)
    value, low, high = timing.seconds.reciprocal(ceiling.amount(x))
    return {
        "metric": name,
        "value": float(value),
        "ci_low": float(low),
        "ci_high": float(high),
        "n": timing.blocks,
        "unit": ceiling.unit,
        "device": device,
        "dtype": str(dtype).removeprefix("torch."),
        "method": f"{ceiling.sentence} Median of blocks, {' × '.join(map(str, size))} elements.",
    }


def note(folder: Path, executions: Iterable[tuple[str, str]]) -> None:
    """Adds to a run's folder the ceilings of these devices and dtypes, where this machine's are not there yet."""
    known = {(row["env"], row["device"], row["dtype"]) for row in _read(folder)}
    here = environment_key()
    for device, dtype in sorted(set(executions)):
        if (here, device, dtype) not in known:
            lines = [json.dumps({"env": here, **row}) for row in ceilings(device, getattr(torch, dtype))]
            with (folder / FILE).open("a", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in lines))


def load_ceilings(folder: Path) -> pd.DataFrame:
    """The ceilings that a run's folder holds: `env`, `device`, `dtype`, `metric`, `value`, `ci_low`, `ci_high`, …"""
    columns = ["env", "device", "dtype", "metric", "value", "ci_low", "ci_high", "n", "unit", "method"]
    return pd.DataFrame([*_read(folder)], columns=columns)


def _read(folder: Path) -> Iterator[dict[str, Any]]:
    path = folder / FILE
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    for line in lines:
        try:
            found = json.loads(line)
        except ValueError:  # a torn last line
            continue
        if isinstance(found, dict) and isinstance(found.get("value"), float):
            yield found


@contextmanager
def one_thread() -> Iterator[None]:
    """Cells are measured on one thread of the CPU, and so is what they are compared with."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


TORCH_DTYPES = {"float32": torch.float32, "float64": torch.float64}


def measured_ceilings(device: str = "cpu", dtype: str = "float32") -> list[dict[str, Any]]:
    """What a device does at most, measured now; see `bench.measure.timing.ceilings`."""
    check_device(device)
    if dtype not in TORCH_DTYPES:
        raise BadInput(f"there is no dtype {dtype!r}; {nearest(dtype, TORCH_DTYPES)}")
    return ceilings(device, TORCH_DTYPES[dtype])
