"""Trained parameters, committed as small `.npz` files: training again differs between processors.

`python -m bench.data.trained` makes every file again; `python -m bench.data.trained digits_vae` those of one objective.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.numerics.tensors import Tensors
from estimators.errors import BadInput

POINTS_FOLDER = Path(__file__).parent / "points"


def path(objective: str, family: str, size: int, point: str) -> Path:
    """Where one point is kept."""
    return POINTS_FOLDER / f"{objective}-{family}-{size}-{point}.npz"


def load(objective: str, family: str, size: int, point: str) -> Tensors:
    """The arrays of one point, float64 on the CPU.

    >>> sorted(load("logistic_regression", "normal", 31, "trained"))
    ['loc', 'log_scale']
    """
    return dict(_read(path(objective, family, size, point)))


@lru_cache(maxsize=32)
def _read(file: Path) -> Tensors:
    if not file.exists():
        objective, family, size, point = file.stem.split("-")
        raise BadInput(
            f"{objective} has no {point!r} point for {family} of size {size}; it has {sizes(objective, family, point)}"
        )
    with np.load(file) as arrays:
        return {name: torch.tensor(arrays[name], dtype=torch.float64) for name in arrays.files}


def sizes(objective: str, family: str, point: str) -> str:
    """The sizes that do have this point, in words."""
    found = sorted(int(file.stem.split("-")[2]) for file in POINTS_FOLDER.glob(f"{objective}-{family}-*-{point}.npz"))
    return f"size {', '.join(map(str, found))}" if found else "none for this family"


def save_point(objective: str, family: str, size: int, point: str, *, arrays: Tensors, dtype: str = "float64") -> Path:
    """Writes one point, compressed."""
    file = path(objective, family, size, point)
    named: dict[str, Any] = {name: value.numpy().astype(dtype) for name, value in arrays.items()}
    np.savez_compressed(file, **named)
    _read.cache_clear()
    return file
