"""What the page of the arguments says follows from the measurements: others give another sentence."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.validation.facts import FACTS
from bench.validation.facts.argument_findings import (
    DEVIATION_FINDINGS,
    KL_FINDINGS,
    LENGTH_FINDINGS,
    entropy_findings,
    least_measured,
    winners_in_words,
)
from bench.validation.facts.arguments import ARGUMENTS, counts_in_words
from bench.validation.facts.claims import GridClaim, judged
from bench.validation.facts.language_entropy import HIGHER_LESS_CLIP
from bench.validation.facts.language_kl import KL_TERMS
from bench.validation.facts.measured_points import GridPoint, points_in, points_table
from bench.validation.facts.off_policy_winners import CELLS_WON

ANGLE = GridClaim("It stays within 5°", "angle", "k3", (0, 5), "KL", "°")
numbers_near_bounds = st.floats(-2, 12, allow_nan=False).map(lambda x: round(x, 2))


@given(st.lists(st.tuples(numbers_near_bounds, st.floats(0, 4), st.booleans()), min_size=1, max_size=6))
def test_the_word_is_that_of_all_intervals(cells):
    points, states = [], []
    for x, (value, half, drawn) in enumerate(cells):
        point = GridPoint("angle", "k3", float(x), value)
        low, high = (value - half, value + half) if drawn else (value, value)
        points.append(point.with_draws(value, half) if drawn else point)
        states.append("in" if low >= 0 and high <= 5 else "out" if high < 0 or low > 5 else "open")
    found = judged(ANGLE, points[::-1])
    expected = (
        "holds" if set(states) == {"in"}
        else "does not hold" if "in" not in states and "out" in states
        else "holds in part" if "out" in states
        else "is not settled"
    )  # fmt: skip
    assert found.word == expected
    assert found.head.count("is not settled for") == sum(
        a == "open" and b != "open" for a, b in zip(states, ["", *states], strict=False)
    )


def angles(name, values, error=0.5):
    return [
        GridPoint("angle", name, x, value).with_draws(value, error)
        for x, value in zip((0.01, 0.1, 1.0), values, strict=True)
    ]


def test_another_angle_is_another_sentence():
    name = "k3 of tokens in the loss"
    said = {
        values: next(each for each in KL_FINDINGS(angles(name, values)) if each.head.startswith(name))
        for values in ((1.0, 2.0, 3.0), (1.0, 9.0, 30.0), (10.0, 20.0, 30.0), (1.0, 4.8, 30.0))
    }
    assert [each.word for each in said.values()] == ["holds", "holds in part", "does not hold", "holds in part"]
    assert said[1.0, 2.0, 3.0].head.endswith("holds for KL = 0.01 to 1")
    assert said[1.0, 9.0, 30.0].head.endswith("holds for KL = 0.01, does not hold for KL = 0.1 to 1")
    assert "is not settled for KL = 0.1" in said[1.0, 4.8, 30.0].head
    assert "30° (29.5° to 30.5°) at KL = 1" in said[1.0, 9.0, 30.0].numbers


def test_what_was_not_measured_is_said():
    assert {each.head.rpartition(": ")[2] for each in KL_FINDINGS([])} == {"not measured"}
    assert len(list(KL_FINDINGS([]))) == len(KL_TERMS) + 1


def test_another_weight_is_another_sentence():
    tilts = [
        GridPoint("tilt", "all prompts", float(K), w).with_draws(w, 0.01) for K, w in ((2, 1.0), (3, 1.0), (16, 1.8))
    ]
    assert next(DEVIATION_FINDINGS(tilts)).head.endswith("does not hold for K = 2 to 3, holds for K = 16")
    flat = [GridPoint("tilt", "all prompts", 16.0, 1.0).with_draws(1.0, 0.01)]
    assert next(DEVIATION_FINDINGS(flat)).word == "does not hold"


@pytest.mark.parametrize(("change", "word"), [(-0.1, "holds"), (0.1, "does not hold")])
def test_another_change_of_length_is_another_sentence(change, word):
    points = [GridPoint("change by 1/L", "short", 0.5, change), GridPoint("change by 1/L", "long", 0.5, 0.0)]
    assert [each.word for each in LENGTH_FINDINGS(points)] == [word, "does not hold", "does not hold"]


def test_another_winner_is_another_sentence():
    def won(shares):
        return [GridPoint(CELLS_WON, f"{name}: error, logit noise", float(n), part) for n, name, part in shares]

    one = won([(16, "CISPO", 1.0), (256, "CISPO", 1.0), (4096, "CISPO", 1.0)])
    two = won([(16, "CISPO", 0.25), (16, "TIS", 0.75), (256, "CISPO", 1.0), (4096, "CISPO", 1.0)])
    assert winners_in_words(one, "error", "logit noise").word == "holds"
    assert winners_in_words(two, "error", "logit noise").word == "does not hold"
    assert (
        "16 rollouts: TIS 75%, CISPO 25%; 256 rollouts: CISPO 100%"
        in winners_in_words(two, "error", "logit noise").numbers
    )


def test_the_least_error_is_settled_by_its_interval():
    points = [
        GridPoint("relative error", name, 16.0, w).with_draws(w, 0.1) for name, w in (("PPO-clip", 1.3), ("CISPO", 1.0))
    ]
    assert next(least_measured(points)).word == "holds"
    assert next(least_measured(points)).head.startswith("CISPO")
    close = [points[0], GridPoint("relative error", "CISPO", 16.0, 1.2).with_draws(1.2, 0.1)]
    assert next(least_measured(close)).word == "is not settled"


@pytest.mark.parametrize(
    ("changes", "word"),
    [((0.2, 0.0), "holds"), ((0.2, -0.2), "holds in part"), ((-0.2, 0.0), "does not hold"), ((0.0,), "does not hold")],
)
def test_the_sign_of_a_change_of_entropy_is_counted(changes, word):
    points = [GridPoint(HIGHER_LESS_CLIP, "long, early", 0.1 * (i + 1), change) for i, change in enumerate(changes)]
    found = next(entropy_findings(points))
    assert found.word == word
    assert f"in {sum(c > 0 for c in changes)} of {len(changes)} cells" in found.head


def test_points_survive_a_record():
    points = [GridPoint("angle", "k3", 0.1, 2.0), GridPoint("angle", "k3", 1.0, 3.0, y=4.0).with_draws(3.1, 0.2)]
    table = points_table(points)
    table.columns["low"][0] = None  # as in a record: a NaN is null
    found = points_in([table])
    assert [each.drawn for each in found] == [False, True]
    assert found[1] == points[1] and math.isclose(found[1].low, 2.9)


def test_no_argument_has_a_number_without_a_measurement():
    for each in ARGUMENTS:
        assert {*each.facts, *each.drawn} <= FACTS.keys()
        found = each.findings({})
        assert all(not any(sign.isdigit() for sign in finding.numbers) for finding in found), (
            "a number without a measurement"
        )
        assert not found or counts_in_words(found).startswith(f"{len(found)} claims")
