"""Presets beside the frameworks' answers: those that are kept, and fresh ones where the frameworks are installed."""

import numpy as np
import pytest

from estimators.policy import PRESETS
from peers.frameworks.agreement import compared, differences, questions
from peers.frameworks.asking import KEPT, ROOT, asked, kept, python_of
from peers.frameworks.comparison import AGREES, DIFFERS, Comparison
from peers.frameworks.comparisons import COMPARISONS
from peers.frameworks.problems import problems

PYTHON = python_of(ROOT / ".peers")
PROBLEMS, ANSWERS = kept()
NAMES = [f"{i}-{each.preset}" for i, each in enumerate(COMPARISONS)]


@pytest.mark.parametrize("comparison", COMPARISONS, ids=NAMES)
def test_a_preset_agrees_or_differs_as_is_said(comparison):
    found = compared(comparison, PROBLEMS, ANSWERS)
    assert found.verdict == comparison.expected, found


def test_every_preset_is_compared_and_what_differs_says_why():
    assert {each.preset for each in COMPARISONS} == {*PRESETS}
    assert all(each.why for each in COMPARISONS)
    frameworks = {each.preset for each in COMPARISONS if each.expected == AGREES and not each.changes}
    assert {name for name in PRESETS if ":" in name} <= frameworks


def agreeing(preset: str, **settings) -> Comparison:
    """The first comparison of a preset that agrees with these settings."""
    return next(
        each
        for each in COMPARISONS
        if each.preset == preset and each.expected == AGREES and settings.items() <= dict(each.settings).items()
    )


MUTANTS = [
    ("trl:grpo", {}, {"scale_epsilon": 0.0}),
    ("verl:grpo", {}, {"scale_epsilon": 0.0}),
    ("verl:reinforce_plus_plus", {}, {"scale_epsilon": 0.0}),
    ("verl:reinforce_plus_plus", {}, {"scale": "floored_whitening"}),
    ("openrlhf:group_norm", {"beta": 0.0}, {"scale_epsilon": 0.0}),
    ("openrlhf:reinforce++", {"beta": 0.0}, {"scale_epsilon": 0.0}),
    ("openrlhf:reinforce++", {}, {"scale": "whitening"}),
    ("openrlhf:gae", {}, {"scale": "whitening"}),
    ("trl:grpo", {}, {"bessel": False}),
    ("verl:grpo", {}, {"bessel": False}),
    ("verl:reinforce_plus_plus", {}, {"bessel": False}),
    ("openrlhf:reinforce++", {}, {"bessel": True}),
    ("openrlhf:group_norm", {"beta": 0.0}, {"bessel": False}),
    ("verl:rloo", {}, {"baseline": "group_mean"}),
    ("trl:rloo", {}, {"baseline": "group_mean"}),
    ("openrlhf:rloo", {}, {"baseline": "group_mean"}),
    ("openrlhf:dr_grpo", {}, {"baseline": "leave_one_out"}),
    ("trl:grpo", {"beta": 0.04}, {"kl_place": "loss"}),
    ("trl:grpo", {"beta": 0.04, "unbiased_kl": False}, {"kl_place": "loss_times_ratio"}),
    ("trl:gspo", {"beta": 0.04}, {"ratio": "token"}),
    ("trl:cispo", {}, {"limit": "clip"}),
    ("trl:cispo", {}, {"high": 1.2}),
    ("verl:cispo", {}, {"limit": "dual_clip"}),
    ("verl:cispo", {}, {"low": 0.0}),
    ("openrlhf:gspo", {}, {"ratio": "geometric"}),
    ("verl:gspo", {}, {"ratio": "token"}),
    ("verl:grpo", {}, {"limit": "clip"}),
    ("verl:grpo", {}, {"high": 1.28}),
    ("trl:rloo", {}, {"kl_policy": "current"}),
    ("trl:rloo", {}, {"ratio": "token"}),
    ("openrlhf:rloo", {}, {"kl_after": False}),
    ("openrlhf:rloo", {}, {"returns": "whole"}),
    ("openrlhf:gae", {}, {"lam": 0.95}),
    ("verl:tis", {}, {"correction_high": 3.0}),
    ("verl:tis", {}, {"correction": "none"}),
    ("verl:icepop", {}, {"correction_rule": "truncate"}),
    ("trl:dapo", {}, {"aggregate": "group_token_mean"}),
    ("trl:dapo", {}, {"filter": "drop"}),
    ("trl:dr_grpo", {}, {"scale": "none"}),
    ("verl:dr_grpo", {}, {"aggregate": "token_sum"}),
    ("verl:sequence_mean", {}, {"aggregate": "batch_token_mean"}),
    ("verl:remax", {}, {"baseline": "group_mean"}),
    ("ppo", {}, {"lam": 1.0}),
    ("pass@k", {}, {"set": "plain"}),
]
"""Presets with one part wrong: an ε off or in another place, K for K − 1, detached or not, and so on."""


@pytest.mark.parametrize(("preset", "settings", "changes"), MUTANTS, ids=str)
def test_a_preset_with_one_part_wrong_is_rejected(preset, settings, changes):
    comparison = agreeing(preset, **settings)
    assert compared(comparison, PROBLEMS, ANSWERS, changes).verdict == DIFFERS


def test_problems_are_those_that_are_kept():
    for name, arrays in problems().items():
        for tensor, value in arrays.items():
            np.testing.assert_array_equal(PROBLEMS[name][tensor], value, err_msg=f"{name}/{tensor}; make frameworks")


@pytest.mark.skipif(not PYTHON.exists(), reason="no environment .peers/frameworks; `make frameworks` makes it (1.7 GB)")
def test_the_frameworks_still_say_what_is_kept():
    asked_for = questions(COMPARISONS)
    assert {*asked_for} == {*ANSWERS}, f"{KEPT.name} has other questions; make frameworks"
    fresh = asked(PYTHON, PROBLEMS, asked_for)
    for each in asked_for:
        assert max(differences(fresh[each], ANSWERS[each])) < 1e-6, each


@pytest.mark.skipif(not PYTHON.exists(), reason="no environment .peers/frameworks; `make frameworks` makes it (1.7 GB)")
def test_a_failure_of_a_framework_is_told():
    with pytest.raises(RuntimeError, match="no loss"):
        asked(PYTHON, PROBLEMS, [("trl:grpo", '{"loss_type": "no loss"}', "stale")])
