"""Groups of chunks: neighbours merge, and the variance is that of the means of the whole groups."""

import numpy as np
import pytest

from bench.statistics.groups import FEWEST_GROUPS, MANY_PARAMETERS, MAX_GROUPS, Groups


@pytest.mark.parametrize(("dim", "most"), [(3, MAX_GROUPS), (MANY_PARAMETERS, FEWEST_GROUPS)])
@pytest.mark.parametrize("chunks", [5, 64, 150])
def test_variance_is_that_of_whole_groups(dim, most, chunks):
    totals = np.random.default_rng(0).standard_normal((chunks, 3))
    groups = Groups(dim)
    for total in totals:
        groups.add(np.resize(total, dim), 8)
    per_group = 1
    while chunks // per_group >= most:
        per_group *= 2
    whole = totals[: chunks // per_group * per_group].reshape(-1, per_group, 3).mean(1) / 8
    assert (groups.chunks, groups.whole, groups.size) == (chunks, len(whole), 8 * per_group)
    np.testing.assert_allclose(groups[0:3].variance, whole.var(0, ddof=1))
    assert len(groups.totals) < most
