"""Where the gradient is zero or nearly zero, a bias is judged on another scale, and the reason says which."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.distributions import distributions
from bench.objectives import objectives
from bench.problems.problem import Problem
from bench.statistics.block import Block
from bench.statistics.direction import judge_direction
from bench.statistics.stream import Replicates
from bench.statistics.verdict import Rules, judge
from bench.statistics.yardstick import NEARLY, Scale, yardstick
from bench.sweeps.cell_record import start_scale

START = Scale.at_start(100.0)


def rules(scale: Scale | None) -> Rules:
    return Rules(resolution=0.05, level=1e-5, looks=2, tolerance=1e-12, scale=scale)


def block_about(target: np.ndarray, bias: float = 0.0, seed: int = 0, rare: int = 0) -> Block:
    """4,096 estimates with standard deviation 1; the first `rare` coordinates rest on a handful of outcomes."""
    rng = np.random.default_rng(seed)
    x = target + bias + rng.standard_normal((4096, len(target)))
    x[:, :rare] = target[:rare] + ((rng.random((4096, rare)) < 2e-3) - 2e-3) * 4
    kept = Replicates({"all": slice(0, len(target))}, target, np.zeros(len(target)))
    for part in torch.tensor(x).split(1024):
        kept.look()
        kept.add(part)
    return kept.block("all")


@pytest.mark.parametrize(
    ("length", "scale", "expected", "words"),
    [
        (0.0, None, 10**0.5, "is zero; the bias is small times the root mean square length of an estimate"),
        (0.0, START, 100.0, "is zero; the bias is small times the length of the gradient at the point 'start'"),
        (0.99 * NEARLY * 100, START, 100.0, "the exact gradient is nearly zero; the bias is small times the length of"),
        (1.01 * NEARLY * 100, START, 1.01 * NEARLY * 100, "the relative bias is small"),
        (0.5, None, 0.5, "the relative bias is small"),
    ],
)
def test_which_length_divides_a_bias(length, scale, expected, words):
    target = np.zeros(10)
    target[0] = length
    yard = yardstick(block_about(target), scale, 1e-12)
    assert yard.length == pytest.approx(expected, rel=0.05)
    assert words in yard.of("is small")


def test_a_bias_is_small_or_large_on_the_scale_of_the_start():
    """A norm of 1 is 100 % of a short g and 1 % of the gradient at the start; a norm of 20 is large on both."""
    short = np.full(4, 0.01)
    assert judge(block_about(short, 0.5), rules(None), True).word == "biased"
    found = judge(block_about(short, 0.5), rules(START), True)
    assert (found.word, "nearly zero" in found.reason) == ("unbiased", True)
    assert judge(block_about(short, 10.0), rules(START), True).word == "biased"


def test_a_direction_is_not_shown_by_a_bias_that_is_small_beside_the_start():
    """The mean is turned by 89°, although its bias is small beside the gradient at the start."""
    block = block_about(np.array([0.01, -0.01, 0.01, -0.01]), 0.5)
    verdict = judge(block, rules(START), True)
    assert verdict.word == "unbiased"
    assert judge_direction(block, rules(START), verdict).word != "aligned"


def test_rare_outcomes_do_not_gate_a_gradient_that_is_zero():
    """Only where every coordinate rests on them, or one is constant, nothing can be said."""
    zero = np.zeros(60)
    assert judge(block_about(zero, rare=2), rules(START), True).word == "unbiased"
    assert judge(block_about(zero + 3, rare=2), rules(START), True).gated
    assert judge(block_about(zero, rare=60), rules(START), True).gated


def test_the_start_of_a_trained_problem():
    family, target = distributions.get("normal", size=10), objectives.get("linear_regression")
    trained = Problem(family, target, point="trained")
    found = start_scale(trained)
    assert found is not None and found.length == pytest.approx(3053.498, abs=0.001)
    assert start_scale(replace(trained, point="start")) is None
    assert start_scale(Problem(family, objectives.get("linear"))) is None
