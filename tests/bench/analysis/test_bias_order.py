"""Biased cells are ordered by direction before length, and relative biases are not divided by each other."""

# pyright: reportArgumentType=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import numpy as np
import pandas as pd
import pytest
import torch

from bench.analysis.bias_order import biased_by_harm
from bench.analysis.comparison import compare_estimators
from bench.measure.accuracy.measurements import block_measurements
from bench.statistics.direction import judge_direction
from bench.statistics.scale import judge_scale
from bench.statistics.stream import Replicates
from bench.statistics.verdict import Rules, Verdict
from bench.tables.wide import wide_table
from estimators.errors import BadInput
from tests.support.tables import table

RULES = Rules(resolution=0.05, level=1e-5, looks=2, tolerance=1e-12)


def measured(name: str, cosine: float, length: float) -> dict:
    """The row of a biased estimator whose mean has a cosine to the gradient and a length in units of it."""
    g = np.array([1.0, 0.0, 0.0])
    mean = length * np.array([cosine, (1 - cosine**2) ** 0.5, 0.0])
    kept = Replicates({"all": slice(0, 3)}, g, np.zeros(3))
    for count in (4096, 12288):
        kept.look()
        kept.add(
            torch.tensor(mean) + 0.1 * torch.randn(count, 3, generator=torch.Generator().manual_seed(count)).double()
        )
    block = kept.block("all")
    rows = {row.metric: row.value for row in block_measurements(block, "all", None, 1e-12)}
    words = {"verdict": "biased", "direction": judge_direction(block, RULES, Verdict("biased", "")).word}
    scale = judge_scale(block, RULES, Verdict("biased", ""))
    return rows | words | {"estimator": name, "scale_verdict": scale.word}


def test_a_long_mean_that_is_almost_aligned_does_less_harm_than_a_turned_one():
    # GRPO with n = 16: relative bias 1.8, cosine 0.993; another loss: cosine 0.82, relative bias 0.6.
    grpo, other = measured("grpo", 0.993, 2.82), measured("turned", 0.82, 1.0)
    assert grpo["relative_bias"] == pytest.approx(1.8, abs=0.1) and other["relative_bias"] == pytest.approx(
        0.6, abs=0.1
    )
    assert (grpo["scale_verdict"], other["scale_verdict"]) == ("stretched", "shrunk")
    rest = [measured("reversed", -0.5, 0.1), measured("short", 1.0, 0.2), measured("shorter", 1.0, 0.5)]
    ordered = biased_by_harm(pd.DataFrame([other, grpo, *rest]))
    assert list(ordered["estimator"]) == ["reversed", "turned", "grpo", "short", "shorter"]
    assert list(ordered["direction"]) == ["reversed", "turned", "turned", "aligned", "aligned"]
    assert ordered.sort_values("relative_bias", ascending=False)["estimator"].iloc[0] == "grpo"  # what it replaces


def test_a_table_without_angles_is_ordered_by_cosines_and_unbiased_cells_are_left_out():
    rows = wide_table(table())
    rows.loc[rows["name"] == "gumbel_softmax", "cosine"] = np.linspace(
        0.1, 0.9, int((rows["name"] == "gumbel_softmax").sum())
    )
    ordered = biased_by_harm(rows)
    assert set(ordered["name"]) == {"gumbel_softmax"}
    assert ordered["cosine"].dropna().is_monotonic_increasing


@pytest.mark.parametrize("metric", ["bias", "relative_bias"])
def test_no_ranking_by_a_bias_that_counts_length_as_much_as_direction(metric: str):
    with pytest.raises(BadInput, match=r"counts a wrong length.*compare angle"):
        compare_estimators(table(), metric=metric)


def test_pairs_say_where_a_bias_lies():
    frame = table()
    frame.loc[frame["metric"] == "scale", "scale_verdict"] = "shrunk"
    pairs = compare_estimators(frame).pairs
    assert {"direction", "scale_verdict", "scale_low", "scale_high"} <= set(pairs)
    assert set(pairs.loc[pairs["verdict"] == "biased", "scale_verdict"]) == {"shrunk"}
