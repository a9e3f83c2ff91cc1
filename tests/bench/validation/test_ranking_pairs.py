"""The command that holds the ranking against all direct comparisons finds differences, and none in a complete table."""

# pyright: reportArgumentType=false, reportReturnType=false, reportGeneralTypeIssues=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import numpy as np
import pytest

from bench.analysis.ranking import rankings
from bench.validation.ranking_pairs import GAPS, ranked_pairs, ranking_pairs_text
from tests.bench.analysis.test_ranking import with_gaps
from tests.support.tables import table


def test_in_a_complete_table_every_pair_has_the_ratio_of_its_comparison():
    found = ranked_pairs(table(problems=2))
    assert len(found) == 3 * 10 and set(found["kind"]) == {"bits"}  # five estimators with a variance
    assert found["read"].to_numpy() == pytest.approx(found["ratio"].to_numpy())
    assert not found[[*GAPS]].to_numpy().any()
    assert "30 pairs; at most 0 of an interval." in ranking_pairs_text(found)


def test_with_gaps_the_differences_lie_within_the_intervals():
    rows = with_gaps(5)
    found = ranked_pairs(rows)
    names = rankings(rows).of["bits", "samples"].names
    assert len(found[found["equal"] == "samples"]) == len(names) * (len(names) - 1) / 2
    assert (
        len(names) == 6
        and 0.1 < found["both"].max() <= 1
        and (found["both"] <= found["noise of measuring"] + 1e-12).all()
    )
    worst = found.loc[found["both"].idxmax()]
    assert f"{worst['estimator']} ÷ {worst['other']}" in ranking_pairs_text(found)


def test_nothing_to_compare():
    assert ranking_pairs_text(ranked_pairs(table().iloc[:0])).endswith("0 pairs; at most nothing of an interval.")


def test_a_difference_is_counted_in_half_widths_of_its_side():
    """Read 2, directly 1 (0.1 to 4): half of the way to the upper end on the log scale."""
    from bench.validation.ranking_pairs import _in_units

    row = {"ratio": 1.0, "ratio_low": 0.1, "ratio_high": 4.0, "problems_low": np.nan, "problems_high": np.nan}
    assert _in_units(2.0, row, GAPS["noise of measuring"]) == pytest.approx(0.5)
    assert _in_units(2.0, row | {"problems_high": 16.0}, GAPS["both"]) == pytest.approx(0.25)
    assert _in_units(1.0, row, GAPS["both"]) == 0
