"""The verdict on the scale: kept, shrunk, stretched or unclear, with two rejections; its false alarms."""

import numpy as np
import pytest
import torch

from bench.statistics.block import Block
from bench.statistics.scale import judge_scale
from bench.statistics.stream import Replicates
from bench.statistics.verdict import Rules, Verdict

RULES = Rules(resolution=0.02, level=1e-5, looks=2, tolerance=1e-12)
BIASED, UNBIASED = Verdict("biased", ""), Verdict("unbiased", "")
G = np.array([3.0, 4.0])


def around(means: tuple[np.ndarray, np.ndarray], seed: int = 0, *, R: int = 65536, sd: float = 1.0) -> Block:
    """Normal estimates in two stages, of a quarter and of three quarters, each around its own mean."""
    kept = Replicates({"all": slice(0, 2)}, G, np.zeros(2))
    rng = torch.Generator().manual_seed(seed)
    for mean, count in zip(means, (R // 4, R - R // 4), strict=True):
        kept.look()
        kept.add(torch.tensor(mean) + sd * torch.randn(count, 2, generator=rng).double())
    return kept.block("all")


def scaled(scale: float, across: float = 0.0, **more: float) -> Block:
    """Estimates whose mean has a scale along G and a part across it."""
    mean = scale * G + across * np.array([-4.0, 3.0])
    return around((mean, mean), **more)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("scale", "word"),
    [(1.0, "kept"), (1.005, "kept"), (0.9, "shrunk"), (1.1, "stretched"), (2.8, "stretched"), (-1.0, "shrunk")],
)
def test_verdicts(scale: float, word: str):
    assert judge_scale(scaled(scale), RULES, BIASED).word == word
    assert judge_scale(scaled(scale, across=0.5), RULES, BIASED).word == word  # a turned mean is judged the same


def test_without_noise_nothing_needs_confirmation():
    assert judge_scale(scaled(0.9, sd=0.0), RULES, BIASED).word == "shrunk"
    assert judge_scale(scaled(1.0, sd=0.0), RULES, BIASED).word == "kept"


def test_what_the_bias_does_not_show_the_scale_does_not_either():
    assert judge_scale(scaled(0.9), RULES, UNBIASED).word == "kept"
    assert judge_scale(scaled(0.9), RULES, Verdict("unclear", "open")).word == "unclear"
    gated = judge_scale(scaled(1.0), RULES, Verdict("unclear", "rare outcomes", gated=True))
    assert (gated.word, gated.reason) == ("unclear", "rare outcomes")


def test_a_scale_near_the_resolution_is_unclear_and_a_gradient_of_zero_has_none():
    assert judge_scale(scaled(0.98), RULES, BIASED).word == "unclear"
    flat = Replicates({"all": slice(0, 2)}, np.zeros(2), np.zeros(2))
    flat.add(torch.randn(1024, 2, generator=torch.Generator().manual_seed(0)).double())
    assert judge_scale(flat.block("all"), RULES, BIASED).word == ""


def test_an_early_length_alone_is_not_confirmed():
    # The first stage is half as long, the last one right: the second rejection is missing.
    verdict = judge_scale(around((0.5 * G, G)), RULES, BIASED)
    assert verdict.word == "unclear" and "confirm" in verdict.reason


def test_a_turned_mean_of_the_right_length_is_seldom_called_shrunk_or_stretched():
    # Where the bias is turned and the scale is 1, a wrong word needs two rejections, at 1e-5 and 1e-3.
    words = [judge_scale(scaled(1.0, 0.5, seed=seed, R=1024, sd=5.0), RULES, BIASED).word for seed in range(100)]
    assert set(words) <= {"kept", "unclear"}
