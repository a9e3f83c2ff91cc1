"""Extreme parameters give numbers, float32 gives float64's, and the naive forms that would not are shown."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent
from torch.overrides import TorchFunctionMode

import estimators
from bench.distributions.categorical import FastOneHot
from estimators import Evidence, Function, ImportanceBound
from estimators.arms import Arms
from estimators.coupled import DisArm
from estimators.needs import Offer, unmet_samples
from estimators.tools.noise import gumbel, uniform
from tests.support.cases import (
    Case,
    bits,
    build_full_normal,
    build_normal,
    double,
    of_bits,
    of_line,
    of_one_hot,
    of_single_hot,
    single,
)
from tests.support.exactness import estimates


def one_hot(logits: Tensor) -> Distribution:
    return Independent(FastOneHot(logits), 1, validate_args=False)


def single_hot(logits: Tensor) -> Distribution:
    return FastOneHot(logits)


def quadratic(z: Tensor) -> Tensor:
    return z.square().sum(-1) + z[..., 0] * z[..., 1]


BITS = {"logits": double(-100.0, -30.0, 6.0, -6.0, 30.0, 100.0)}
HOT = {"logits": double(100.0, -30.0, 6.0, -100.0, -6.0, 30.0)}
NARROW_WIDE = {"loc": double(0.6, -0.8), "scale": double(1e-4, 1e4)}
EXTREME: dict[str, Case] = {
    "bits": (bits, BITS, Function(of_bits)),
    "evidence_of_bits": (bits, BITS, Evidence(of_bits)),
    "bound_of_bits": (bits, BITS, ImportanceBound(of_bits, draws=3)),
    "one_hot": (one_hot, {"logits": HOT["logits"].reshape(2, 3)}, Function(of_one_hot)),
    "single_hot": (single_hot, HOT, Function(of_single_hot)),
    "normal": (build_normal, NARROW_WIDE, Function(quadratic)),
    "evidence_of_normal": (build_normal, NARROW_WIDE, Evidence(lambda z: -0.5 * z.square().sum(-1))),
    "bound_of_normal": (build_normal, NARROW_WIDE, ImportanceBound(lambda z: -0.5 * z.square().sum(-1), draws=3)),
    "full_normal": (
        build_full_normal,
        {"loc": double(0.6, -0.8), "scale_tril": double(1e-4, 0.0, 1e-4, 1e4).reshape(2, 2)},
        Function(quadratic),
    ),
}
MILD: dict[str, Case] = {
    "bits": (bits, {"logits": double(-6.0, 0.4, 3.0)}, Function(of_bits)),
    "single_hot": (single_hot, {"logits": double(4.0, -0.7, 0.2, -3.0, 0.9, -1.3)}, Function(of_single_hot)),
    "normal": (build_normal, {"loc": double(0.6, -0.8), "scale": double(0.01, 10.0)}, Function(of_line)),
}


def pairs(cases: dict[str, Case]) -> list[tuple[str, str]]:
    """Every estimator with each case that it fits."""
    offers = {case: Offer(build(**values), f) for case, (build, values, f) in cases.items()}
    return [
        (name, case)
        for name in estimators.available()
        for case, offer in offers.items()
        if offer.unmet(estimators.get(name), draws(name)) is None
    ]


def draws(name: str) -> int:
    return next(n for n in (4, 6, 1) if unmet_samples(estimators.get(name).traits, n) is None)


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.float64, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("name", "case"), pairs(EXTREME))
def test_extreme_parameters_give_numbers(name, case, dtype):
    sample = estimates(estimators.get(name), *single(EXTREME[case], dtype), draws(name), 200)
    assert sample.dtype == dtype
    assert sample.isfinite().all(), f"{int((~sample.isfinite()).any(1).sum())} of 200 estimates are not finite"


class SameNoise(TorchFunctionMode):
    """Every random number is drawn in float32, whatever is asked for."""

    def __torch_function__(self, func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.rand, torch.randn) and kwargs.get("dtype") is torch.float64:
            return func(*args, **kwargs | {"dtype": torch.float32}).double()
        if func in (torch.rand_like, torch.randn_like):
            plain = {torch.rand_like: torch.rand, torch.randn_like: torch.randn}[func]
            return plain(args[0].shape, dtype=torch.float32).to(args[0].dtype)
        if func is torch.normal:
            mean, std = args
            return mean + std * torch.randn(mean.shape, dtype=torch.float32).to(mean.dtype)
        if func is torch.Tensor.normal_:
            return args[0].copy_(torch.randn(args[0].shape, dtype=torch.float32))
        return func(*args, **kwargs)


OWN_NOISE = {
    "randomised_qmc": "scrambles in the dtype asked for",
}
"""Estimators whose noise this cannot share between dtypes, with the reason."""


@pytest.mark.parametrize(("name", "case"), [pair for pair in pairs(MILD) if pair[0] not in OWN_NOISE])
def test_float32_gives_float64s_numbers(name, case):
    """The same draws: all but the few that round to the other side of a threshold agree."""
    build, parameters, f = MILD[case]
    with SameNoise():
        fine = estimates(estimators.get(name), build, parameters, f, draws(name), 300)
        rough = estimates(estimators.get(name), *single(MILD[case], torch.float32), draws(name), 300).double()
    apart = (rough - fine).norm(dim=1) / (fine.norm(dim=1) + 0.01 * fine.norm(dim=1).mean())
    assert (apart < 1e-3).double().mean() > 0.97, f"median {apart.median():.1e}, 97 % {apart.quantile(0.97):.1e}"


EDGES = torch.tensor([0.0, 1 - 2**-24])
"""The ends of what torch.rand gives in float32."""


def test_gumbel_noise_with_an_epsilon_inside_is_infinite(monkeypatch):
    eps = torch.finfo(torch.float32).eps
    assert not (-(-(EDGES + eps).log()).log()).isfinite().all()
    assert not (-(-EDGES.log()).log()).isfinite().all()
    monkeypatch.setattr(torch, "rand", lambda *_, **__: EDGES.reshape(1, 2))
    assert gumbel(1, torch.zeros(2)).isfinite().all()
    assert uniform(1, torch.zeros(2)).log1p().isfinite().all()


@pytest.mark.parametrize("logit", [30.0, 100.0])
def test_disarm_by_its_ratio_is_no_number(logit):
    """ARMS's t(1−t)/(t − P(1,1)) at K = 2, P = 2t − 1, is DisARM's σ(|φ|); computed as it reads it is 0/0."""
    t = torch.tensor(logit).sigmoid()
    assert (t * (1 - t) / (t - (2 * t - 1))).isnan()
    case = single((bits, {"logits": double(logit, -logit, 0.3)}, Function(of_bits)), torch.float32)
    for estimator in (DisArm(), Arms()):
        assert estimates(estimator, *case, 2, 100).isfinite().all()


def test_a_log_probability_by_its_logarithm_is_infinite():
    """log σ(−100) is −100: log_prob by the logarithm of the probability loses it, and its gradient."""
    phi = torch.tensor([-104.0])
    assert phi.sigmoid().log().isinf()
    q = bits(phi)
    assert q.log_prob(torch.ones(1)) == -104
