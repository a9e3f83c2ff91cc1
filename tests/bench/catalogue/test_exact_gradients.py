"""Today's code, with other seeds, agrees with the committed quick sweep in results/reference/.

Every measured variance and scale is compared with a fresh, shorter measurement; the family-wise level is 1e-6.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

import bench
from bench.provenance.identity import canonical
from bench.suites.cell import estimator_of
from bench.suites.grid import suite_cells
from bench.sweeps.cell_record import measure_cell

FOLDER = Path(__file__).parents[3] / "results" / "reference"
REPLICATES = 1024
LEVEL = 1e-6
ROUNDING = 1e-12
"""What the variance of a cell is held against before it counts as noise (`Block.varies`)."""
OTHER_SEED = 20_261_124
DEAR = {"measure_valued", "delta_method"}
"""Left out on the logistic regression, where a few hundred evaluations an estimate cost minutes."""


@pytest.fixture(scope="module")
def table():
    found = bench.load(FOLDER)
    return found[(found.status == "ok") & (found.block == "all") & found.metric.isin(["variance", "scale"])]


@pytest.fixture(scope="module", params=[20, pytest.param(1, marks=pytest.mark.slow)], ids=["every twentieth", "every"])
def pairs(table, request):
    """(what, reference row, fresh row) of every (twentieth) cell that today's suite plans and the reference holds."""
    suite = bench.load_suite(FOLDER / "config.toml")
    budget = canonical(suite.accuracy | {"min_replicates": REPLICATES, "max_replicates": REPLICATES})
    by_cell = {cell: rows.set_index("metric") for cell, rows in table.groupby("cell")}
    found = []
    for cell in suite_cells(suite)[:: request.param]:
        if cell.id not in by_cell or (cell.estimator in DEAR and cell.objective == "logistic_regression"):
            continue
        fresh = measure_cell(replace(cell, seed=OTHER_SEED, accuracy=budget), "accuracy")
        assert fresh["status"] == "ok", f"{cell.label}: {fresh['reason']}"
        for row in fresh["measurements"]:
            tuned = row["metric"] == "variance" and estimator_of(cell).traits.fitted  # another seed tunes it otherwise
            if row["block"] == "all" and row["metric"] in by_cell[cell.id].index and not tuned:
                found.append((f"{row['metric']} of {cell.label}", by_cell[cell.id].loc[row["metric"]], row))
    return found


def test_the_reference_holds_the_quick_suite(table):
    """The committed table was measured from the suite as it is, and nothing in it failed."""
    planned = {cell.id for cell in suite_cells(bench.load_suite("quick")) if not cell.reason}
    assert planned == set(table.cell)
    assert set(bench.load(FOLDER).status) == {"ok", "not_applicable"}


def test_fresh_draws_agree(pairs):
    scores = {what: score(old, new) for what, old, new in pairs}
    known = {what: z for what, z in scores.items() if z is not None}
    limit = norm.isf(LEVEL / 2 / len(known))
    assert len(known) > len(pairs) / 2
    assert not {what: round(z, 1) for what, z in known.items() if abs(z) > limit}


def score(old, new):
    """The difference in standard errors, None where an interval is missing or says that it is approximate."""
    if "approximate" in old["method"] or "approximate" in new["method"]:
        return None
    old, new = (np.array([row["value"], row["ci_low"], row["ci_high"]], float) for row in (old, new))
    if not np.isfinite([*old, *new]).all():
        return None
    if old[2] - old[1] <= 1e-9 * abs(old[0]) or abs(old[0]) < ROUNDING**2:  # no noise: they agree, or something changed
        assert np.isclose(old[0], new[0], rtol=1e-6, atol=1e-12)
        return None
    if min(*old, *new) > 0:  # a variance, or a scale well away from 0
        old, new = np.log(old), np.log(new)
    error = np.hypot(old[2] - old[1], new[2] - new[1]) / 2 / norm.isf(0.025)
    return float((new[0] - old[0]) / error)
