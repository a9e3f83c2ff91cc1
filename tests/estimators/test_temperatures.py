"""Temperatures from 1e-8 to 1e3 in both dtypes: finite estimates, or a sentence that says what the dtype resolves."""

import math

import pytest
import torch

import estimators
from estimators import BadInput, Function
from estimators.registry import estimators as registry
from estimators.relaxed import GumbelSoftmax, Relaxed
from estimators.sparsemax import GumbelSparsemax, sparsemax
from tests.support.cases import CASES, bits, single
from tests.support.exactness import estimates, z_scores

NAMES = [name for name, cls in registry if hasattr(cls, "temperature")]
RELAXED = [name for name in NAMES if isinstance(estimators.get(name), Relaxed)]
NOISY = [name for name in RELAXED if name != "gapped_straight_through"]
TEMPERATURES = [1e-8, 1e-7, 1e-6, 1e-5, 1e-3, 0.1, 1.0, 1e3]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("name", NAMES)
def test_any_temperature_gives_numbers_or_a_sentence(name, temperature, dtype):
    for case in ("bits", "one_hot", "single_hot"):
        try:
            sample = estimates(estimators.get(name, temperature=temperature), *single(CASES[case], dtype), 2, 100)
        except BadInput as error:
            assert "temperature" in str(error)
            lowest = {"reinmax": 1, "gapped_straight_through": -1 / math.log(torch.finfo(dtype).tiny)}
            assert temperature < lowest.get(name, 16 * torch.finfo(dtype).eps)
        else:
            assert sample.isfinite().all()


@pytest.mark.parametrize("name", NOISY)
def test_a_temperature_below_the_dtypes_resolution_is_named(name):
    """At 1e-6 in float32 relaxed draws are one-hot by rounding: the gradient would be 0 without a word."""
    with pytest.raises(BadInput, match=r"1e-06 is not resolved in float32.*1.9e-06 or more"):
        estimates(estimators.get(name, temperature=1e-6), *single(CASES["one_hot"], torch.float32), 2, 1)
    estimates(estimators.get(name, temperature=1e-6), *CASES["one_hot"], 2, 1)


@pytest.mark.parametrize(("dtype", "temperature"), [(torch.float32, 0.011), (torch.float64, 1.4e-3)])
def test_a_gap_that_lets_no_gradient_through_is_named(dtype, temperature):
    """At 1e-3 a gap of 1 weighs e^-1000, so every gradient was exactly 0, in both dtypes."""
    case = single(CASES["one_hot"], dtype)
    with pytest.raises(BadInput, match="leaves no gradient"):
        estimates(estimators.get("gapped_straight_through", temperature=temperature), *case, 2, 1)
    sample = estimates(estimators.get("gapped_straight_through", temperature=1.2 * temperature), *case, 2, 100)
    assert (sample != 0).any()


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("inf"), float("nan")])
@pytest.mark.parametrize("name", RELAXED)
def test_a_temperature_is_positive_and_finite(name, temperature):
    with pytest.raises(BadInput, match="temperature"):
        estimators.get(name, temperature=temperature)


@pytest.mark.parametrize(("kind", "temperature"), [(GumbelSoftmax, 2e-6), (GumbelSparsemax, 2e-4)])
def test_a_low_temperature_that_is_taken_is_right_in_float32(kind, temperature):
    """One bit, f = b: the gradient is t(1−t) + O(τ²). About one softmax draw in 20,000 has a gradient, and is large."""
    logit = {"logits": torch.tensor([0.4])}
    f = Function(lambda b: b[..., 0])
    sample = estimates(kind(temperature=temperature), bits, logit, f, 2000, 1000).double()
    t = torch.tensor(0.4, dtype=torch.float64).sigmoid()
    assert (sample != 0).double().mean() > 0.05
    assert z_scores(sample, (t * (1 - t)).reshape(1)).abs().max() < 5.5


def test_sparsemax_of_no_number_is_no_number():
    """Logits that have become NaN give NaN, which a training loop can see, and no IndexError."""
    assert sparsemax(torch.tensor([[float("nan"), 0.0], [1.0, 0.0]])).isnan().any(-1).tolist() == [True, False]
