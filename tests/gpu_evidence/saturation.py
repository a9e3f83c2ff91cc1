"""Estimates per second against the replicates of a step, JAX beside them; before that, the device's ceilings."""

import csv
import importlib.util
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import estimators
from bench.measure.estimates.gradients import Gradients
from bench.measure.timing import ceilings
from bench.measure.timing.blocks import ThroughputSettings, timed
from bench.measure.timing.throughput import wall, whole_step
from peers.problems import CASES, PROBLEMS, write
from peers.side import Launch, answer, started
from peers.side import asked as ask
from tests.gpu_evidence.asked import Asked, asked

COLUMNS = ["side", "case", "mode", "replicates", "estimates_per_second", "low", "high", "error"]
COMPARED = ("bits/rloo", "bits/disarm")
"""Cells that gradest and JAX both have."""
WHOLE = tuple(4**power for power in range(5, 12))
"""2¹⁰ to 2²² replicates; where each size is compiled, three of them."""
SHORT = (64, 256)
SETTINGS = ThroughputSettings(precision=0.02, max_seconds=0.25)


@dataclass(frozen=True)
class Point:
    """One side at one number of replicates."""

    side: str
    case: str
    mode: str
    replicates: int


def main() -> None:
    given = asked()
    with (given.out / "saturation.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, COLUMNS)
        rows.writeheader()
        ceilings.note(given.out, [(given.device, "float32")])
        for point, found in curve(given):
            rows.writerow(vars(point) | found)
            file.flush()  # every line is on the disk before the next is measured


def curve(given: Asked) -> Iterator[tuple[Point, dict[str, Any]]]:
    """All points with what was found of them: quick ones first, compiled steps last."""
    sizes = SHORT if given.short else WHOLE
    few = sizes[:: max(1, (len(sizes) - 1) // 2)]
    for mode, own in (("eager", sizes), ("graph", sizes)):
        if mode == "graph" and torch.device(given.device).type != "cuda":
            continue
        yield from (ours(Point("gradest", case, mode, size), given.device) for size in own for case in COMPARED)
    yield from jax(few)
    yield from (ours(Point("gradest", case, "compile", size), given.device) for size in few[::-1] for case in COMPARED)


def ours(point: Point, device: str) -> tuple[Point, dict[str, Any]]:
    """gradest's step; what goes wrong, memory that does not suffice for example, is the result."""
    problem, name = point.case.split("/")
    try:
        estimator = estimators.get(name)
        gradients = Gradients(PROBLEMS[problem], estimator, CASES[point.case], device=device, dtype=torch.float32)
        torch.manual_seed(0)
        step = whole_step(gradients, point.replicates, point.mode)
        step()
        timing = timed(wall(step), SETTINGS)
    except Exception as error:
        return point, {"error": f"{type(error).__name__}: {error}"[:300]}
    finally:
        if torch.device(device).type == "cuda":
            torch.cuda.empty_cache()
    rate, low, high = timing.seconds.reciprocal(point.replicates)
    return point, {"estimates_per_second": rate, "low": low, "high": high}


def jax(sizes: tuple[int, ...]) -> Iterator[tuple[Point, dict[str, Any]]]:
    """JAX's step at each size, in a separate process; `mode` is its arrangement, with the device that it runs on."""
    if importlib.util.find_spec("jax") is None:
        yield Point("JAX", COMPARED[0], "", 0), {"error": "JAX is not installed"}
        return
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "problems.npz")
        write(data)
        process = started(Launch("jax_vmap.py", ",".join(map(str, sizes))), Path(folder), data)
        try:
            answer(process)  # its cases
            for size in sizes:
                for case in COMPARED:
                    (found,) = ask([process], f"{case}/{size}", "time", seconds=SETTINGS.max_seconds)
                    yield jax_point(case, size, found)
        finally:
            process.kill()
            process.wait()


def jax_point(case: str, size: int, found: dict[str, Any]) -> tuple[Point, dict[str, Any]]:
    """From the side's answer."""
    if "error" in found:
        return Point("JAX", case, "", size), {"error": found["error"]}
    rate = found["replicates"] / found["seconds"]
    return Point("JAX", case, found["arrangement"], size), {"estimates_per_second": rate}


if __name__ == "__main__":
    main()
