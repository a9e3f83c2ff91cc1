"""Suites: what they say, and that every mistake is told with its place."""

import contextlib
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.suites.suite import Suite, load_suite, parse_suite, suites
from bench.tables.toml import dumps
from estimators.errors import BadInput

SMALL = {
    "samples": 2,
    "estimators": ["rloo", {"name": "reinforce"}],
    "problems": [{"distribution": {"name": "bernoulli", "size": [3, 5]}, "objective": "quadratic_bits"}],
}


def test_a_single_value_is_an_axis_of_one_and_defaults_are_filled_in():
    suite = parse_suite(SMALL, "here")
    assert suite.samples == [2]
    assert [choice.name for choice in suite.estimators] == ["rloo", "reinforce"]
    assert suite.problems[0].distribution[0].settings == {"size": [3, 5]}
    assert suite.accuracy["precision"] == 0.05


@pytest.mark.parametrize("name", suites())
def test_built_in_suites_load(name):
    assert isinstance(load_suite(name), Suite)


def test_a_suite_survives_being_written(tmp_path):
    suite = parse_suite(SMALL | {"exclude": [{"where": 'estimator == "rloo"', "reason": 'a "quoted"\nreason'}]}, "here")
    (tmp_path / "again.toml").write_text(dumps(suite.model_dump()))
    assert load_suite(tmp_path / "again.toml") == suite


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sample": 3}, "here: sample: unknown key; did you mean 'samples'?"),
        ({"samples": 0}, "here: samples[0]: input should be greater than or equal to 1, not '0'"),
        ({"samples": "ten"}, "here: samples[0]: input should be a valid integer, not"),
        ({"samples": []}, "here: samples: an axis needs at least one value"),
        ({"seed": -1}, "here: seed: "),
        ({"dtype": "float16"}, "here: dtype[0]: input should be 'float32' or 'float64'"),
        ({"metrics": ["speed"]}, "here: metrics[0]: input should be 'accuracy' or 'throughput'"),
        ({"estimators": [{"nam": "rloo"}]}, "here: estimators[0].name: this key is missing"),
        ({"estimators": [3]}, "here: estimators[0]"),
        ({"accuracy": {"precison": 0.1}}, "here: accuracy.precison: unknown setting; did you mean 'precision'?"),
        ({"accuracy": {"precision": "high"}}, "here: accuracy.precision: input should be a valid number, not 'high'"),
        ({"accuracy": {"precision": float("inf")}}, "here: accuracy.precision: must be a finite number"),
        ({"throughput": 3}, "here: throughput: "),
        (
            {"problems": [SMALL["problems"][0] | {"accuracy": {"precison": 0.1}}]},
            "here: problems[0].accuracy.precison: unknown setting; did you mean 'precision'?",
        ),
        ({"problems": [{"distribution": "bernoulli"}]}, "here: problems[0].objective: this key is missing"),
        (
            {"problems": [{"distribution": "bernoulli", "objective": "x", "points": 1}]},
            "here: problems[0].points: unknown key; did you mean 'point'?",
        ),
        ({"exclude": [{"where": "sample == 1", "reason": "x"}]}, "here: exclude[0].where: --where, character 1"),
        ({"exclude": [{"where": "samples == 1"}]}, "here: exclude[0].reason: this key is missing"),
    ],
)
def test_mistakes_are_told_with_their_place(change, said):
    with pytest.raises(BadInput) as caught:
        parse_suite(SMALL | change, "here")
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_suites(tmp_path):
    broken = tmp_path / "broken.toml"
    broken.write_text("samples = [1,")
    with pytest.raises(BadInput, match=r"broken\.toml is not TOML"):
        load_suite(broken)
    with pytest.raises(BadInput, match="cannot read the suite"):
        load_suite(tmp_path / "absent.toml")
    with pytest.raises(BadInput, match="there is no suite 'quik'; did you mean 'quick'"):
        load_suite("quik")


LONG = "x" * 10**7


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"estimators": [LONG]}, "here: estimators[0]: "),
        ({LONG: 1}, "here: "),
        ({"point": LONG}, "here: point: "),
        ({"problems": [{"distribution": {"name": "bernoulli", LONG: 3}}]}, "here: problems[0].distribution: "),
        (
            {"problems": [{"distribution": {"name": "bernoulli", "data": LONG}}]},
            "here: problems[0].distribution.data: ",
        ),
    ],
)
def test_a_text_of_ten_megabytes_is_refused_and_not_echoed(change, place):
    """Fault C9: it would stand in every row."""
    with pytest.raises(BadInput) as caught:
        parse_suite(SMALL | change, "here")
    assert str(caught.value).startswith(place) and "has 10000000 characters" in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_byte_order_mark_is_no_part_of_a_suite(tmp_path, mark):
    """Fault C9: editors on Windows write one."""
    path = tmp_path / "suite.toml"
    path.write_bytes(mark + dumps(SMALL | {"problems": SMALL["problems"]}).encode())
    assert load_suite(path) == parse_suite(SMALL, "here")


def test_a_pipe_is_no_suite(tmp_path):
    os.mkfifo(tmp_path / "suite.toml")
    with pytest.raises(BadInput, match=r"cannot read the suite .*suite\.toml: it is no regular file"):
        load_suite(tmp_path / "suite.toml")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*Suite.model_fields, "other"]), VALUES))
def test_any_table_is_a_suite_or_bad_input(found):
    with contextlib.suppress(BadInput):
        parse_suite(SMALL | found, "here")
