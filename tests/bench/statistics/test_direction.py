"""The angle between the mean and the exact gradient: by hand, its coverage, and the verdict on the direction."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.statistics import direction
from bench.statistics.block import Block
from bench.statistics.direction import Split, across_p, angle, judge_direction
from bench.statistics.stream import Replicates
from bench.statistics.verdict import Rules, Verdict

RULES = Rules(resolution=0.02, level=1e-5, looks=2, tolerance=1e-12)
BIASED, UNBIASED = Verdict("biased", ""), Verdict("unbiased", "")


def block(
    mean: np.ndarray, g: np.ndarray, seed: int = 0, *, R: int = 4096, sd: float = 1.0, error: float = 0.0
) -> Block:
    """Normal estimates around `mean` in two stages, of a quarter and of three quarters."""
    kept = Replicates({"all": slice(0, len(g))}, g, np.full(len(g), error))
    x = torch.tensor(mean) + sd * torch.randn(R, len(g), generator=torch.Generator().manual_seed(seed)).double()
    kept.look()
    for part in (x[: R // 4], x[R // 4 :]):
        if part is not x:
            kept.add(part)
        if kept.drawn == R // 4:
            kept.look()
    return kept.block("all")


def at(degrees: float, P: int, length: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A mean at an angle to g = e₁, and g."""
    mean, g = np.zeros(P), np.zeros(P)
    g[0], mean[0] = 1.0, np.cos(np.deg2rad(degrees)) * length
    if P > 1:
        mean[1] = np.sin(np.deg2rad(degrees)) * length
    return mean, g


@pytest.mark.parametrize("degrees", [0.0, 30.0, 90.0, 120.0, 180.0])
def test_without_noise_the_angle_is_that_of_the_vectors(degrees):
    found = angle(block(*at(degrees, 3, 2.5), sd=1e-9))
    assert found is not None
    assert found.value == pytest.approx(degrees, abs=1e-5)
    assert found.low - 1e-5 <= degrees <= found.high + 1e-5


def test_in_one_coordinate_the_angle_is_0_or_180_or_unknown():
    assert angle(block(np.array([0.5]), np.array([2.0]))) == (0, 0, 0)
    assert angle(block(np.array([-0.5]), np.array([2.0]))) == (180, 180, 180)
    assert angle(block(np.array([0.001]), np.array([2.0])))[1:] == (0, 180)  # pyright: ignore[reportOptionalSubscript]


def test_where_the_gradient_is_zero_there_is_no_angle():
    flat = block(np.ones(3), np.zeros(3))
    assert angle(flat) is None
    assert judge_direction(flat, RULES, BIASED).word == ""


def test_noise_does_not_turn_the_angle():
    # With 400 coordinates the plain angle is arctan(√(399/4096)/0.5) = 32°, although the mean lies along g.
    mean, g = at(0, 400, 0.5)
    blocks = [block(mean, g, seed) for seed in range(20)]
    plain = [np.rad2deg(np.arccos(b.moments.mean[0] / np.linalg.norm(b.moments.mean))) for b in blocks]
    debiased = [found.value for found in map(angle, blocks) if found]
    assert min(plain) > 25
    # E ‖c‖² − tr is 0 with deviation √(2·399)/4096 = 0.0069: √(4 · 0.0069) ÷ 0.5 is 18°, and half are 0
    assert np.median(debiased) < 10 and sum(value == 0 for value in debiased) >= 3


@pytest.mark.parametrize(
    ("degrees", "P", "length"), [(0, 10, 0.5), (25, 3, 0.3), (25, 50, 1.0), (90, 10, 0.3), (150, 10, 0.5)]
)
def test_coverage(degrees, P, length):
    found = [angle(block(*at(degrees, P, length), seed, R=1024)) for seed in range(150)]
    held = sum(each is not None and each.low <= degrees <= each.high for each in found)
    assert held > 127  # P(Binomial(150, .95) ≤ 127) < 1e-6, and the seeds are fixed


def test_without_the_debiasing_the_coverage_is_lost(monkeypatch):
    monkeypatch.setattr(Split, "noise", property(lambda self: (1e-12, 1e-24)))
    mean, g = at(25, 50, 1.0)
    assert sum(a.low <= 25 <= a.high for a in (angle(block(mean, g, s, R=1024)) for s in range(40)) if a) < 34


def test_the_error_of_the_reference_widens_the_interval():
    mean, g = at(30, 4)
    narrow, wide = angle(block(mean, g)), angle(block(mean, g, error=0.01))
    assert narrow is not None and wide is not None
    assert wide.high - narrow.high == pytest.approx(np.rad2deg(np.arcsin(2 * 0.01 * 2)))


@pytest.mark.parametrize(
    ("degrees", "word"),
    [(0, "aligned"), (0.3, "aligned"), (20, "turned"), (89, "turned"), (120, "reversed"), (180, "reversed")],
)
def test_verdicts(degrees, word):
    mean, g = at(degrees, 5, 2.0)
    assert judge_direction(block(mean, g, R=65536), RULES, BIASED).word == word
    single = at(degrees, 1, 2.0)
    if degrees in (0, 180):
        assert judge_direction(block(*single), RULES, BIASED).word == word


def test_without_noise_a_turned_mean_needs_no_confirmation():
    mean, g = at(20, 3)
    assert judge_direction(block(mean, g, sd=0.0), RULES, BIASED).word == "turned"


def test_what_the_bias_does_not_show_the_direction_does_not_either():
    mean, g = at(20, 5)
    turned = block(mean, g)
    assert judge_direction(turned, RULES, UNBIASED).word == "aligned"
    for bias in (Verdict("unclear", "open"), Verdict("unclear", "rare outcomes", gated=True)):
        assert judge_direction(turned, RULES, bias).word == "unclear"
    assert judge_direction(turned, RULES, Verdict("unclear", "rare outcomes", gated=True)).reason == "rare outcomes"


def test_an_early_sign_alone_turns_nothing():
    # The first stage points elsewhere, the last one along g: the second rejection is missing.
    kept = Replicates({"all": slice(0, 2)}, np.array([1.0, 0.0]), np.zeros(2))
    rng = torch.Generator().manual_seed(3)
    kept.add(torch.tensor([2.0, 2.0]) + torch.randn(1024, 2, generator=rng).double())
    kept.look()
    kept.add(torch.tensor([2.0, 0.0]) + torch.randn(3072, 2, generator=rng).double())
    verdict = judge_direction(kept.block("all"), RULES, BIASED)
    assert verdict.word == "unclear" and "confirm" in verdict.reason


@pytest.mark.parametrize("noise", ["normal", "exponential"])
def test_the_test_across_g_keeps_its_level(noise):
    # The mean is g/2, a biased scale: the test across g must reject as seldom as it says.
    torch.manual_seed(1)
    mean, g = np.full(5, 0.5), np.ones(5)
    p = []
    for seed in range(200):
        made = block(mean, g, seed, R=1024)
        if noise == "exponential":
            kept = Replicates({"all": slice(0, 5)}, g, np.zeros(5))
            kept.add(torch.tensor(mean) + torch.empty(1024, 5).exponential_().double() - 1)
            made = kept.block("all")
        p.append(across_p(Split(made), made.moments.mean, made.count, 1e-12))
    assert sum(each < 0.05 for each in p) < 30  # P(Binomial(200, .05) ≥ 30) < 1e-6


def test_a_reversal_needs_both_stages():
    mean, g = at(120, 3, 2.0)
    split = Split(block(mean, g))
    assert direction._against_gradient(split, RULES)
    early = replace(split.block.exact, along=np.r_[split.block.exact.along[:1024], np.zeros(3072)])
    assert not direction._against_gradient(Split(replace(split.block, against=early)), RULES)


@pytest.mark.parametrize("P", [2, 3, 10])
def test_the_cosine_is_debiased_by_the_noise_across_alone(P):
    """Of the P coordinates' noise, that along g does not lengthen the part across."""
    mean, g = at(30.0, P, 2.0)
    found, R, sd = [], 1024, 4.0
    for seed in range(40):
        each = block(mean, g, seed, R=R, sd=sd)
        cosine, across = each.cosine(), each.moments.mean[1:]
        assert cosine is not None
        length = (1 / cosine.value**2 - 1) * each.moments.mean[0] ** 2
        found.append((across @ across - length) / (sd**2 / R))
    assert np.mean(found) == pytest.approx(P - 1, abs=0.3)


def test_the_interval_of_the_cosine_holds_the_truth_in_two_dimensions():
    mean, g = at(20.0, 2, 2.0)
    found = [block(mean, g, seed, R=1024, sd=4.0).cosine() for seed in range(200)]
    held = sum(each is not None and each.low <= np.cos(np.deg2rad(20.0)) <= each.high for each in found)
    assert held > 171  # of 200 at 95 %: fewer once in 1e6


def test_the_cosine_of_one_coordinate_is_1_or_minus_1():
    for degrees, value in ((0.0, 1.0), (180.0, -1.0)):
        found = block(*at(degrees, 1, 2.0), sd=0.5).cosine()
        assert found is not None
        assert tuple(found) == pytest.approx((value, value, value))
