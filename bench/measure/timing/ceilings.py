"""Peak rates of a device: random numbers, copies and matrix products per second, timed in the same way as cells.

Timed cells are compared with these ceilings: no implementation of an estimator copies or multiplies faster, or draws
faster with torch's generator. Compiled steps on a CPU draw from a faster generator
(`bench.measure.execution.counter_rng`); its cost is timed with each cell, as `random_seconds_per_estimate`. A run that
times cells writes the ceilings to `ceilings.jsonl`, one line per ceiling, device and dtype.
"""

import json
import math
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
from bench.tables.writing import appending
from estimators.errors import BadInput, nearest

CEILING_SETTINGS = ThroughputSettings(precision=0.02, max_seconds=0.4)
FILE = "ceilings.jsonl"


@dataclass(frozen=True)
class Ceiling:
    """The definition of a ceiling.

    `sizes`: shape of the tensor x on a CPU and on an accelerator. `step(x)` builds the timed function from a zero
    tensor; `amount(x)` is the work of one call: numbers, bytes or operations.
    """

    unit: str
    sentence: str
    sizes: tuple[tuple[int, ...], tuple[int, ...]]
    amount: Callable[[Tensor], float]
    step: Callable[[Tensor], Callable[..., Tensor]]


def copies(x: Tensor) -> Callable[[], Tensor]:
    """A function that copies x into a fixed buffer."""
    out = torch.empty_like(x)
    return lambda: out.copy_(x)


def products(x: Tensor) -> Callable[[], Tensor]:
    """A function that multiplies the matrix x by itself into a fixed buffer."""
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
        "Bytes read and written by a copy larger than any cache.",
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
    """Measures each ceiling of a device with its 95 % interval, on one thread like the cells."""
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
    """Measures the ceilings of devices and dtypes that a run's folder does not have for this machine, and adds them."""
    known = {(row["env"], row["device"], row["dtype"]) for row in _read(folder)}
    here = environment_key()
    for device, dtype in sorted(set(executions)):
        if (here, device, dtype) not in known:
            lines = [json.dumps({"env": here, **row}) for row in ceilings(device, getattr(torch, dtype))]
            with appending(folder / FILE) as file:
                file.write("".join(f"{line}\n" for line in lines).encode())


def load_ceilings(folder: Path) -> pd.DataFrame:
    """Reads the ceilings in a run's folder: `env`, `device`, `dtype`, `metric`, `value`, `ci_low`, `ci_high`, …"""
    columns = ["env", "device", "dtype", "metric", "value", "ci_low", "ci_high", "n", "unit", "method"]
    return pd.DataFrame([*_read(folder)], columns=columns)


def _read(folder: Path) -> Iterator[dict[str, Any]]:
    path = folder / FILE
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    for line in lines:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):  # an incomplete last line
            continue
        if isinstance(found, dict) and _is_ceiling(found):
            yield found


def _is_ceiling(found: dict[str, Any]) -> bool:
    """Whether a line has the texts and the finite numbers of a ceiling."""
    texts = (found.get(name) for name in ("env", "device", "dtype", "metric", "unit", "method"))
    numbers = (found.get(name) for name in ("value", "ci_low", "ci_high"))
    return all(isinstance(each, str) for each in texts) and all(
        isinstance(each, float) and math.isfinite(each) for each in numbers
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """Limits torch to one thread, as for cells, and restores the number of threads at the end."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


TORCH_DTYPES = {"float32": torch.float32, "float64": torch.float64}


def measured_ceilings(device: str = "cpu", dtype: str = "float32") -> list[dict[str, Any]]:
    """Measures the ceilings of a device now; see `bench.measure.timing.ceilings`.

    Raises BadInput if there is no such device or dtype.
    """
    check_device(device)
    if dtype not in TORCH_DTYPES:
        raise BadInput(f"there is no dtype {dtype!r}; {nearest(dtype, TORCH_DTYPES)}")
    return ceilings(device, TORCH_DTYPES[dtype])
