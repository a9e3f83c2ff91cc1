"""The filter language: what it means, and that it says where it is wrong."""

import contextlib

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.tables import where
from estimators.errors import BadInput

ROW = {
    "estimator": "rloo",
    "estimator_params": '{"inner":{"name":"arm"}}',
    "distribution": "bernoulli",
    "distribution_params": '{"size":5}',
    "objective": "quadratic_bits",
    "objective_params": '{"t":0.45}',
    "samples": 10,
    "device": "cpu",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('estimator == "rloo"', True),
        ("estimator != 'rloo'", False),
        ("samples >= 10", True),
        ("samples > 1e1", False),
        ("samples in [1, 10]", True),
        ("estimator in ('arm', 'rloo') and samples < 11", True),
        ("not samples == 10", False),
        ("not not samples == 10", True),
        ("samples == 1 or samples == 10 and estimator == 'arm'", False),
        ("(samples == 10 or samples == 1) and estimator == 'rloo'", True),
        ("distribution.size == 5 and objective.t < 0.5", True),
        ("distribution.rate == 5", False),  # a setting that the row does not have
        ("estimator.inner < 0.5", False),  # a setting that holds an estimator
        ("samples == 'ten'", False),  # a number is no text
    ],
)
def test_meaning(text, expected):
    assert where.parse(text)(where.filter_facts(ROW)) is expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a column"),
        ("sample == 1", "character 1: there is no column 'sample'; did you mean 'samples'"),
        ("samples = 1", "'= 1' is not part of the language"),
        ("samples ==", "expected a number or a quoted text, found the end"),
        ("samples == rloo", "expected a number or a quoted text, found rloo"),
        ("(samples == 1", "expected `)`"),
        ("samples == 1 estimator == 'rloo'", "expected `and`, `or` or the end"),
        ("samples in 1", "expected a list"),
        ("samples in [1", "the end of the list"),
        ("samples.x == 1", "there is no column 'samples.x'"),
        ("__import__('os').system('true') == 1", "is not part of the language"),
        ("(" * 100 + "samples == 1" + ")" * 100, "nested deeper"),
        ("samples == 1" + " " * 10_000, "longer than"),
    ],
)
def test_errors_say_the_place(text, said):
    with pytest.raises(BadInput, match="--where") as caught:
        where.parse(text)
    assert said in str(caught.value)


WORDS = [
    "samples",
    "estimator",
    "==",
    "<",
    "(",
    ")",
    "[",
    "]",
    ",",
    "and",
    "or",
    "not",
    "in",
    "1",
    "'a'",
    '"',
    "x.y",
    "\\",
]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(WORDS), max_size=20).map(" ".join)))
def test_any_text_is_a_filter_or_bad_input(text):
    with contextlib.suppress(BadInput):
        where.parse(text)(where.filter_facts(ROW))


def test_select_keeps_the_rows_of_a_table():
    table = pd.DataFrame([ROW | {"samples": samples, "value": samples / 2} for samples in (1, 10, 10, 100)])
    assert list(where.select(table, "samples in [10, 100]")["value"]) == [5, 5, 50]
    assert where.select(table, None) is table


@pytest.mark.parametrize("name", [*where.FILTER_NAMES, "estimator.inner", "distribution.size"])
def test_a_table_without_the_column_of_a_filter_has_no_row_for_which_it_is_true(name):
    table = pd.DataFrame([ROW | {"samples": samples} for samples in (1, 10)])
    head, _, setting = name.partition(".")
    less = table.drop(columns=[each for each in (f"{head}_params" if setting else head,) if each in table])
    for value in ("1", "'x'"):
        assert len(where.select(less, f"{name} == {value}")) == 0
        assert len(where.select(less, f"not {name} == {value}")) == 2
        assert len(where.select(less, f"{name} == {value} or not {name} != {value}")) == 2
