"""Arrays that come from elsewhere: checked, with one sentence for whatever does not fit."""

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from estimators.errors import BadInput

KINDS = ("float32", "float64")
"""The dtypes of estimates: rounding in shorter ones would be mistaken for bias."""


def load_npy(path: str | Path) -> np.ndarray:
    """Opens a `.npy` file, without reading it whole and without executing anything in it.

    Raises:
        BadInput: The file does not exist or is not a `.npy` file of numbers.
    """
    if not Path(path).is_file():
        raise BadInput(f"there is no file {path}")
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception:  # a hostile header raises nearly anything
        found = None
    if not isinstance(found, np.ndarray):  # an archive of several arrays is none
        raise BadInput(f"{path} is not a .npy file of numbers, as numpy.save writes it")
    return found


def as_numbers(found: Any, where: str) -> np.ndarray:
    """An array of float32 or float64 from a numpy array, a tensor, or whatever numpy can read (a JAX array)."""
    try:
        array = found.detach().cpu().numpy() if isinstance(found, Tensor) else np.asarray(found)
    except Exception as error:
        raise BadInput(f"{where} cannot be read as an array: {type(error).__name__}: {error}") from None
    if array.dtype.newbyteorder("=").name not in KINDS:
        raise BadInput(f"{where} has the dtype {array.dtype}; {' or '.join(KINDS)} is right")
    return array


def as_estimates(found: Any, where: str, count: int | None = None, dim: int | None = None) -> np.ndarray:
    """An array of estimates `[count, P]`.

    Args:
        found: The array.
        where: What it is, to begin a sentence with.
        count: The number of rows that were asked for. Default: any.
        dim: P, where it is known. Default: any.

    Raises:
        BadInput: The shape or the dtype is wrong.
    """
    array = as_numbers(found, where)
    if array.ndim != 2 or not array.shape[1]:
        raise BadInput(
            f"{where} has the shape {list(array.shape)}; [count, P] is right, "
            "a row per estimate and a column per parameter"
        )
    if count is not None and len(array) != count:
        raise BadInput(f"{where} has {len(array)} rows where {count} estimates were asked for")
    if dim is not None and array.shape[1] != dim:
        raise BadInput(f"{where} has {array.shape[1]} columns where there are {dim} parameters")
    return array


def as_exact(found: Any, where: str, dim: int) -> np.ndarray:
    """The exact gradient, float64 `[P]`; raises BadInput if its shape is wrong or a value is not finite."""
    array = as_numbers(found, where)
    if array.shape != (dim,):
        raise BadInput(f"{where} has the shape {list(array.shape)}; [{dim}] is right, a number per parameter")
    bad = np.flatnonzero(~np.isfinite(array))
    if len(bad):
        raise BadInput(f"{where} is not finite: coordinate {bad[0]} is {array[bad[0]]}")
    return array.astype(np.float64)
