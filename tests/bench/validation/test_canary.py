"""The canary measures cells of a committed run again, and names what changed."""

# pyright: reportGeneralTypeIssues=false, reportAttributeAccessIssue=false, reportArgumentType=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from pathlib import Path

import pandas as pd
import pytest

from bench.sweeps.run import run
from bench.tables.folder import load
from bench.validation.canary import COMPARED, changed_cells, compared

SUITE = """
seed = 0
samples = [2]
metrics = ["accuracy"]
estimators = ["rloo", "reparameterisation", "exact"]
[accuracy]
max_replicates = 1024
[[problems]]
distribution = { name = "normal", size = 2 }
objective = ["quadratic", "linear"]
"""


pytestmark = pytest.mark.usefixtures("forked_workers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, forked_workers: None) -> Path:
    """Cells with two parameters, whose metrics have a row for each of them."""
    folder = tmp_path_factory.mktemp("before")
    (folder / "suite.toml").write_text(SUITE)
    run(folder / "suite.toml", folder / "out", jobs=1)
    return folder / "out"


def measured(folder: Path) -> pd.DataFrame:
    """The rows of the metrics that are compared."""
    found = load(folder)
    return pd.DataFrame(found[found["metric"].isin(COMPARED) & (found["status"] == "ok")])


def test_cells_that_are_measured_again_are_the_same(folder: Path) -> None:
    table = measured(folder)
    assert table["block"].nunique() == 3
    assert changed_cells(folder, 3) == []


def test_what_changed_is_named(folder: Path) -> None:
    before = measured(folder)
    assert compared(before, before) == []
    one = before[(before["metric"] == "variance") & (before["block"] != "all") & (before["estimator"] == "rloo")].index[
        0
    ]
    after, cell = before.copy(), before.loc[one, "cell"]
    for column in ("value", "ci_low", "ci_high"):
        after.loc[one, column] = 100 * after.loc[one, column]
    found = compared(before, after)
    assert len(found) == 2 and "beyond chance" in found[0] and cell in found[0] and "1 of" in found[1]
    gone = compared(before, before[before["cell"] != cell])
    assert len(gone) == 1 and "no longer a cell of the suite" in gone[0]
    after = before.assign(verdict=before["verdict"].where(before.index != one, "biased"))
    assert len(compared(before, after)) == 1
