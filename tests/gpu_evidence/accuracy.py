"""Forty cells of the suite `core` in float32, twice: the same to the bit, and the verdicts of a CPU?

`python -m tests.gpu_evidence.accuracy OUT cpu whole` made the table beside this file, as its `accuracy-1.parquet`.
"""

from pathlib import Path

import pandas as pd

import bench
from bench.suites.suite import Suite, parse_suite
from tests.gpu_evidence.asked import asked
from tests.gpu_evidence.sweep import measured

BITS = ["rloo", "arm", "disarm", "self_critical", "rebar", "gumbel_softmax", "straight_through", "local_expectation"]
NORMALS = [
    *("reinforce", "rloo", "antithetic", "quasi_monte_carlo"),
    *("reparameterisation", "measure_valued", "delta_method", "spsa"),
]
CELLS = (
    f"distribution == 'bernoulli' and objective in ['quadratic_bits', 'squared_sum', 'parity'] and estimator in {BITS} "
    f"or distribution == 'normal' and objective in ['quadratic', 'cosine'] and estimator in {NORMALS}"
)
SHORT = "distribution == 'bernoulli' and objective == 'quadratic_bits' and estimator in ['rloo', 'straight_through']"
ON_CPU = Path(__file__).with_name("core_on_cpu.parquet")
SAME_CELL = [
    "estimator", "estimator_params", "distribution", "distribution_params", "objective", "objective_params",
    "coordinates", "point", "samples", "dtype",
]  # fmt: skip
"""What a cell on a GPU has in common with its cell on a CPU."""
ROW = ["cell", "metric", "block"]
TIMES = ("fit_seconds",)
"""Metrics that no seed repeats."""


def main() -> None:
    given = asked()
    paths = [given.out / f"accuracy-{number}.parquet" for number in (1, 2)]
    for path in paths:
        measured(core(given.device), [SHORT if given.short else CELLS], path)
    first, second = (bench.load(path) for path in paths)
    print(repeated(first, second), flush=True)
    print("\n".join(compared(first, bench.load(ON_CPU))))


def core(device: str) -> Suite:
    """The suite `core` in float32 on a device; of its estimators and problems those of the forty cells, and a few."""
    whole = bench.load_suite("core").model_dump()
    named = [each for each in whole["estimators"] if each["name"] in BITS + NORMALS]
    families = {"bernoulli", "normal"}
    problems = [block for block in whole["problems"] if families & {each["name"] for each in block["distribution"]}]
    chosen = {"estimators": named, "problems": problems, "device": [device], "dtype": ["float32"]}
    return parse_suite(whole | chosen, "core")


def repeated(first: pd.DataFrame, second: pd.DataFrame) -> str:
    """Whether two runs gave the same numbers to the bit, in a sentence."""
    one, other = (numbers_of(table) for table in (first, second))
    if not one.index.equals(other.index):
        return f"twice: the two runs have other rows ({len(one)} and {len(other)})"
    apart = one.index[~((one == other) | (one.isna() & other.isna())).all(axis=1)]
    if len(apart):
        return f"twice: {len(apart)} of {len(one)} numbers differ, the first of them {apart[0]}"
    return f"twice: all {len(one)} numbers are the same to the bit"


def numbers_of(table: pd.DataFrame) -> pd.DataFrame:
    """What a seed repeats of a table, by cell, metric and block."""
    repeatable = table[~table["metric"].isin(TIMES)]
    return pd.DataFrame(repeatable.set_index(ROW)[["value", "ci_low", "ci_high", "status"]]).sort_index()


def compared(here: pd.DataFrame, there: pd.DataFrame) -> list[str]:
    """A line of how many cells have the verdict of their cell in `there`, and a line for each that has not."""
    verdicts = [verdict_of(table) for table in (here, there)]
    both = pd.concat(verdicts, axis=1, keys=["here", "there"], join="inner")
    apart = pd.DataFrame(both[both["here"] != both["there"]])
    lines = [f"verdicts: {len(both) - len(apart)} of {len(both)} are the CPU's; {len(verdicts[0])} cells were measured"]
    return lines + [
        f"  {dict(zip(SAME_CELL, cell, strict=True))}: {here}, on the CPU {there}"
        for cell, here, there in zip(apart.index, apart["here"], apart["there"], strict=True)
    ]


def verdict_of(table: pd.DataFrame) -> pd.Series:
    """The verdict of each cell, the status where there is none."""
    rows = table[(table["metric"] == "relative_bias") & (table["block"] == "all") | (table["status"] != "ok")]
    by_cell = pd.DataFrame(rows.set_index(SAME_CELL))
    return pd.Series(by_cell["verdict"].where(by_cell["verdict"] != "", by_cell["status"]))


if __name__ == "__main__":
    main()
