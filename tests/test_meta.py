"""Every surrogate and its gradient run on torch's `meta` device: no host sync, no constant on another device."""

import pytest
import torch

import estimators
from estimators import Need
from tests.cases import EVERY, fitting

UNABLE: dict[str, str] = {}
"""Estimators that cannot, by name, with the reason in words."""


@pytest.fixture(autouse=True)
def unvalidated(monkeypatch):
    """torch's one-hot categorical validates the Categorical inside it, whatever it is told."""
    monkeypatch.setattr(torch.distributions.Distribution, "_validate_args", False)


@pytest.mark.parametrize("name", estimators.available())
def test_forward_and_backward_on_meta(name):
    if name in UNABLE:
        pytest.skip(UNABLE[name])
    estimator = estimators.get(name)
    cases, n = fitting(estimator)
    for case in cases:
        if case == "gamma" and Need.REPARAMETERISED in estimator.traits.needs:
            continue  # torch has no meta kernel of the Gamma's implicit derivative
        build, parameters, f = EVERY[case]
        values = {key: value.to("meta").expand(7, *value.shape) for key, value in parameters.items()}
        found = torch.func.grad(lambda values: estimator.surrogate(build(**values), f, n).sum())(values)  # noqa: B023
        for key, gradient in found.items():
            assert gradient.device.type == "meta", case
            assert gradient.shape == values[key].shape, case
