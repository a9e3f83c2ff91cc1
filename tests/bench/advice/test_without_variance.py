"""Estimators whose estimates do not vary: they win where they are the gradient, and never where they miss a jump."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Distribution, Independent, MultivariateNormal, Normal

from bench.advice.parcel import Parcel
from bench.advice.witness import Judge
from estimators import Evidence, get
from tests.bench.advice.test_witness import measured
from tests.support.own_models import advice, workshop

pytestmark = pytest.mark.usefixtures("processor_clock")


def normals(p: dict[str, torch.Tensor]) -> Distribution:
    return Independent(Normal(p["loc"], p["log_scale"].exp()), 1)


def full(p: dict[str, torch.Tensor]) -> Distribution:
    return MultivariateNormal(p["loc"], scale_tril=p["raw"].tril(-1) + torch.diag_embed(p["raw"].diagonal().exp()))


def bits(theta: torch.Tensor) -> Distribution:
    return Independent(Bernoulli(logits=theta), 1)


NORMAL = {"loc": torch.tensor([0.3, -0.1]), "log_scale": torch.zeros(2)}
FULL = {"loc": torch.tensor([0.3, -0.1, 0.2]), "raw": 0.2 * torch.ones(3, 3)}
LOGITS = torch.tensor([0.3, -0.1, 0.5])
QUADRATIC = (NORMAL, normals, lambda z: 300 * (z - 1).square().sum(-1))
FULL_NORMAL = (FULL, full, lambda z: (z.sum(-1) - 1).square() + z.square().sum(-1))
EVIDENCE = (FULL, full, Evidence(lambda z: -(z - 0.4).square().sum(-1)))
CUBIC = (NORMAL, normals, lambda z: z.pow(3).sum(-1))
EXP = (NORMAL, normals, lambda z: z.exp().sum(-1))
JUMP = (NORMAL, normals, lambda z: z.square().sum(-1) + 5.0 * (z > 0.5).sum(-1))
SMALL_JUMP = (NORMAL, normals, lambda z: z.square().sum(-1) + 0.05 * (z > 0.5).sum(-1))
BITS = (LOGITS, bits, lambda z: (z.sum(-1) - 1.3).square())
LINEAR_BITS = (LOGITS, bits, lambda z: z @ torch.tensor([1.0, -2.0, 0.5]))
NUMPY = (NORMAL, normals, lambda z: np.square(np.asarray(z)).sum(-1))
FOLLOWS = {
    "quadratic": (QUADRATIC, True), "full normal": (FULL_NORMAL, True), "evidence": (EVIDENCE, True),
    "linear in bits": (LINEAR_BITS, True), "cubic": (CUBIC, False), "exp": (EXP, False), "jump": (JUMP, False),
    "small jump": (SMALL_JUMP, False), "numpy": (NUMPY, None),
    "scalar draws": ((torch.tensor(0.3), lambda t: Normal(t, 1.0), torch.square), True),
    "over data": ((torch.zeros(3, 2), lambda t: Independent(Normal(t, 1.0), 1), lambda z: z.square().sum(-1)), True),
}  # fmt: skip


@pytest.mark.parametrize("model, follows", FOLLOWS.values(), ids=FOLLOWS)
def test_a_jump_and_a_bend_show_between_draws(model: Any, follows: bool | None):
    assert workshop(model).follows_its_slopes(5.0) is follows


def judge_of(model: Any, estimates: int) -> tuple[Any, Judge]:
    """A judge whose witness has so few estimates that it hears little."""
    shop = workshop(model)
    measured(shop, "rloo", 2, 2, double=True)  # a first step that imports is slow, and the next ones are taken singly
    return shop, Judge(measured(shop, "rloo", 2, estimates, double=True), follows=lambda: shop.follows_its_slopes(5.0))


@pytest.mark.parametrize("model", [QUADRATIC, FULL_NORMAL, EVIDENCE], ids=["quadratic", "full normal", "evidence"])
@pytest.mark.parametrize("name", ["taylor_pathwise", "delta_method", "quadratic_pathwise"])
def test_what_is_exact_on_paper_needs_no_precise_witness(model: Any, name: str):
    shop, judge = judge_of(model, 64)
    each = measured(shop, name, 1, 64, double=True)  # in float32 an evidence's rounding is at the edge of variance
    assert each.gate
    judge(each)
    assert each.trusted and not each.gate
    judge.follows = lambda: None
    each.trusted = False
    judge(each)
    assert not each.trusted


def test_a_reason_on_paper_does_not_outweigh_a_witness_that_disagrees():
    shop, judge = judge_of(FULL_NORMAL, 1000)
    each, said = measured(shop, "taylor_pathwise", 1, 64), judge.testimony()
    assert each.moments is not None and said is not None
    heard = int(np.argmax(~said.silent & (said.error > 0)))
    assert not said.silent[heard]
    each.moments.mean[:] = said.mean
    for errors, trusted in ((7.0, True), (9.0, False)):
        each.moments.mean[heard] = said.mean[heard] + errors * said.error[heard] ** 0.5
        judge(each)
        assert each.trusted is trusted


@pytest.mark.parametrize("name", ["taylor_pathwise", "quadratic_pathwise"])
def test_a_noisy_witness_does_not_vouch_where_f_jumps(name: str):
    """The mean is off by less than the witness's noise; without the look between draws it would be trusted."""
    shop, judge = judge_of(SMALL_JUMP, 2048)
    each = measured(shop, name, 16, 64)
    judge.witness.moments.m2[:] *= 1000.0  # type: ignore[union-attr]
    judge(each)
    assert not each.varies and not each.trusted
    judge.follows = lambda: None
    judge(each)
    assert each.trusted


def test_without_a_witness_the_reason_on_paper_is_enough():
    shop = workshop(QUADRATIC)
    for follows in (True, False, None):
        each = measured(shop, "taylor_pathwise", 1, 64)
        Judge(None, follows=lambda: follows)(each)  # noqa: B023
        assert each.trusted is (follows is True)


def test_who_follows_slopes():
    follow = {name: Parcel.of(get(name)).by_slopes for name in ("taylor_pathwise", "delta_method", "rloo", "exact")}
    assert follow == {"taylor_pathwise": True, "delta_method": True, "rloo": False, "exact": False}
    assert Parcel.of(get("antithetic", inner=get("reparameterisation"))).by_slopes


SMOOTH = ("reinforce", "rloo", "reparameterisation", "taylor_pathwise", "quadratic_pathwise", "delta_method")
STILL = ("taylor_pathwise", "quadratic_pathwise", "delta_method")


@pytest.mark.parametrize("model", [QUADRATIC, FULL_NORMAL, EVIDENCE], ids=["quadratic", "full normal", "evidence"])
def test_an_estimator_without_variance_wins(model: Any):
    found = advice(model, 1.0, (1, 2), names=SMOOTH, cost="calls")
    assert found.conclusive and found.estimator in STILL and found.table.loc[0, "variance"] == 0


@pytest.mark.parametrize("model", [CUBIC, EXP, JUMP], ids=["cubic", "exp", "jump"])
def test_none_is_without_variance_on_other_functions(model: Any):
    found = advice(model, 1.0, (1, 2), names=SMOOTH, cost="calls")
    assert found.table.loc[0, "variance"] > 0
    if model is JUMP:
        assert not found.conclusive or found.estimator in ("reinforce", "rloo", "delta_method")


def test_enumeration_wins_on_bits():
    found = advice(BITS, 1.0, (1, 2), names=("exact", "rloo", "disarm", "reinforce"), cost="calls")
    assert found.conclusive and found.table.loc[0, "variance"] == 0 and found.estimator == "exact"
