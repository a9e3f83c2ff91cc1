"""Prints the table of bad cells: the row that each kind leaves, and whether the good cells beside it are the same.

`python -m tests.support.bad_kinds` measures each kind in a separate sweep (four minutes of processor time); names of
kinds after it choose some. The tests in `tests/bench/sweeps/test_bad_cells.py` check the same.
"""

import multiprocessing
import sys
import tempfile
from pathlib import Path

from bench.isolation import process
from tests.bench.sweeps.test_bad_cells import KINDS, measured, of_good

NOTES = ("its worker was replaced", "restored")
MOST = 110
"""Characters of a reason that are shown."""


def row(kind: str, folder: Path, alone: object) -> str:
    """The line of a kind: its status, its reason, how many good cells there are and whether they are the same."""
    found, table = measured(folder, kind)
    good = of_good(table)
    bad = table[table["estimator_params"].str.contains(f'"{kind}"')].iloc[0]
    reason = str(bad["reason"]).replace("|", "\\|")
    if bad["status"] == "ok":  # what it left is said last, after the statistics
        reason = reason.rpartition("; ")[2] if reason.endswith(NOTES) else ""
    shown = reason if len(reason) <= MOST else f"{reason[:MOST]} …"
    cells, same = good["cell"].nunique(), good.equals(alone) and found.left == 0
    return f"| `{kind}` | {bad['status']} | {shown} | {f'{cells} of {cells}' if same else 'NO'} |"


def main() -> None:
    """Prints the table; ends with 1 if good cells beside a kind were others."""
    forking = multiprocessing.get_context("forkserver")
    forking.set_forkserver_preload(["tests.support.preloaded"])
    process.SPAWN = forking
    differ = False
    print("| kind | its row | its reason | others identical |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        (folder / "alone").mkdir()
        alone = of_good(measured(folder / "alone")[1])
        for kind in sys.argv[1:] or KINDS:
            (folder / kind).mkdir()
            line = row(kind, folder / kind, alone)
            differ |= line.endswith("NO |")
            print(line, flush=True)
    sys.exit(differ)


if __name__ == "__main__":
    main()
