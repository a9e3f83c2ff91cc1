"""The trainer's loop in examples/language_training.py, and the README's list of presets."""

import re
import runpy
from pathlib import Path

import pytest

from estimators.policy import PRESETS

ROOT = Path(__file__).parents[3]
train = runpy.run_path(str(ROOT / "examples" / "language_training.py"))["train"]


@pytest.mark.parametrize("name", ["trl:grpo", pytest.param("verl:remax", marks=pytest.mark.slow)])
def test_training_improves_the_reward(name):
    """From 3 % of right answers, the exact share of the stage "early", to more than 80 %."""
    log = list(train(name, steps=41, every=20))
    assert [row["step"] for row in log] == [0, 20, 40]
    assert log[0]["right"] < 0.05 and log[-1]["right"] > 0.8
    assert all(row["snr_low"] <= row["snr"] <= row["snr_high"] for row in log)


def test_rewards_of_other_rollouts_teach_nothing(monkeypatch):
    """The mutant: each rollout has the reward of its neighbour in the group, so the mean gradient is 0."""
    right = train.__globals__["rollouts_of"]

    def mixed_up(policy, reference):
        z, given = right(policy, reference)
        return z, given | {"rewards": given["rewards"].roll(1, -1)}

    monkeypatch.setitem(train.__globals__, "rollouts_of", mixed_up)
    log = list(train("trl:grpo", steps=31, every=10))
    assert log[-1]["right"] < 0.4


TAKEN = [pytest.param(name, marks=pytest.mark.slow if place % 3 else ()) for place, name in enumerate(PRESETS)]
"""Every third preset in `make test`, where test_policy_loss.py and tests/peers have all of them."""


@pytest.mark.parametrize("name", TAKEN)
def test_the_loop_takes_every_preset(name):
    (row,) = train(name, steps=1)
    assert row["variance"] > 0


def test_the_readme_lists_every_preset():
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("| presets from |")[1].split("\n\n")[0]
    listed = []
    for line in table.splitlines()[2:]:
        prefix, *names = re.findall(r"`([^`]+)`", line) if "+ `" in line else ["", *re.findall(r"`([^`]+)`", line)]
        listed += [prefix + name for name in names]
    assert listed == [*PRESETS]
