"""Labels of estimators and problems: short, and different where settings differ."""

import json
from typing import Any

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.tables.wide import estimator_labels

plain = st.one_of(st.integers(-3, 300), st.floats(1e-9, 1e9), st.sampled_from(["a", "b"]), st.booleans())
names = st.sampled_from(["rloo", "gumbel_softmax", "antithetic"])


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    wrapped = st.builds(lambda name, own: {"name": name} | own, names, st.dictionaries(st.sampled_from("tu"), plain))
    return st.dictionaries(st.sampled_from(["size", "inner"]), st.one_of(plain, wrapped, inner))


def labels(*given: dict[str, Any]) -> list[str]:
    texts = [json.dumps(each) for each in given]
    return list(estimator_labels(pd.DataFrame({"estimator": "x", "estimator_params": texts})))


@given(st.lists(st.recursive(st.just({}), nested, max_leaves=3), min_size=2, max_size=4, unique_by=json.dumps))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_different_settings_have_different_labels(every: list[dict[str, Any]]):
    found = labels(*every)
    assert len(set(found)) == len({json.dumps(each, sort_keys=True) for each in every}), found


def test_a_wrapped_estimator_shows_what_varies_and_nothing_else():
    soft = {"name": "gumbel_softmax", "hard": False}
    assert labels({"inner": soft | {"temperature": 0.1}}, {"inner": soft | {"temperature": 0.5}}) == [
        "x(gumbel_softmax(temperature=0.1))",
        "x(gumbel_softmax(temperature=0.5))",
    ]
    assert labels({"inner": soft}, {"inner": {"name": "rloo"}}) == ["x(gumbel_softmax)", "x(rloo)"]
