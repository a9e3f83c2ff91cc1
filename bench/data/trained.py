"""Trained parameters, committed as small `.npz` files because training differs between processors.

`python -m bench.problems.train` trains every file again; `python -m bench.problems.train digits_vae` one objective's.
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
    """Returns the path of a point's file."""
    return POINTS_FOLDER / f"{objective}-{family}-{size}-{point}.npz"


def load(objective: str, family: str, size: int, point: str) -> Tensors:
    """Returns the arrays of a point, float64 on the CPU. Raises BadInput if there is no such point.

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
    """Returns in words the sizes for which this point exists."""
    found = sorted(int(file.stem.split("-")[2]) for file in POINTS_FOLDER.glob(f"{objective}-{family}-*-{point}.npz"))
    return f"size {', '.join(map(str, found))}" if found else "none for this family"


def save_point(objective: str, family: str, size: int, point: str, *, arrays: Tensors, dtype: str = "float64") -> Path:
    """Writes a point as a compressed file and returns its path."""
    file = path(objective, family, size, point)
    named: dict[str, Any] = {name: value.numpy().astype(dtype) for name, value in arrays.items()}
    np.savez_compressed(file, **named)
    _read.cache_clear()
    return file
