"""The command `python -m bench.validation.coverage`: runs the study and writes its table."""

import argparse
from pathlib import Path

import pandas as pd

from bench.measure.timing.blocks import ThroughputSettings
from bench.validation.coverage import NOISES, StudyCase, coverage, outside
from bench.validation.coverage.adjusted import ADJUSTED_CASES, adjusted_lines
from bench.validation.coverage.alarms import CELLS, FAMILIES, alarm_lines
from bench.validation.coverage.along import ALONG_CASES, along_lines
from bench.validation.coverage.clock import CLOCKS, clock_lines
from bench.validation.coverage.over_problems import OVER_PROBLEMS, over_problems_lines
from bench.validation.coverage.page import coverage_page, told
from bench.validation.coverage.parts import PARTS_CASES, parts_lines
from bench.validation.coverage.real import REAL, real_lines

BIASES = (0.0, 0.2)
LINES = (
    (OVER_PROBLEMS, over_problems_lines),
    (PARTS_CASES, parts_lines),
    (ALONG_CASES, along_lines),
    (ADJUSTED_CASES, adjusted_lines),
)
"""Other cases by name, and the function that yields the rows of one of them."""


def main() -> None:
    """Runs the study and writes its table. Rows of distributions that are not selected are kept."""
    parser = argparse.ArgumentParser(prog="python -m bench.validation.coverage", description=main.__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/coverage"), help="the folder of the table")
    parser.add_argument("--studies", type=int, default=1000, help="measurements per case")
    parser.add_argument("--dims", type=int, nargs="+", default=[1, 10, 100, 1000], help="numbers of coordinates")
    known = [*NOISES, *CLOCKS, *OVER_PROBLEMS, *PARTS_CASES, *ALONG_CASES, *ADJUSTED_CASES]
    choices = [*known, *REAL]
    parser.add_argument("--noises", nargs="*", choices=choices, help="distributions, clocks and machines")
    parser.add_argument("--metrics", nargs="+", help="metrics whose rows are written; default: all")
    parser.add_argument("--alarms", type=int, help="cells per false-alarm rate; with --noises, default 0: not measured")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    file = given.out / "coverage.csv"
    table = pd.read_csv(file) if file.is_file() else pd.DataFrame(columns=["noise", "dim", "metric"])
    table = pd.DataFrame(table[table["noise"].isin(choices)])  # a distribution that is no longer studied has no rows
    whole = given.noises is None
    for noise in known if whole else given.noises:
        for dim in given.dims if noise in NOISES else [10]:
            lines = study_lines(noise, dim, given.studies, given.jobs)
            replaced = (table["noise"] == noise) & ((table["dim"] == dim) | (noise not in NOISES))
            if given.metrics:
                lines = pd.DataFrame(lines[lines["metric"].isin(given.metrics)])
                replaced &= table["metric"].isin(given.metrics)
            others = pd.DataFrame(table[~replaced])
            table = pd.concat([others, lines] if len(others) else [lines], ignore_index=True)
            table.to_csv(file, index=False, float_format="%.6g")
            print(f"{noise}, {dim}: coverage {lines.coverage.min():.3f} to {lines.coverage.max():.3f}", flush=True)
    alarms = false_alarms(given.out / "alarms.csv", CELLS if whole and given.alarms is None else given.alarms or 0)
    (given.out / "README.md").write_text(coverage_page(table, alarms), encoding="utf-8")
    print(told(outside(table)))


def false_alarms(file: Path, cells: int) -> pd.DataFrame | None:
    """Returns the false-alarm rates, measured with `cells` cells each; with 0, those of the file or None."""
    if cells:
        lines = []
        for name in FAMILIES:
            lines += alarm_lines([name], cells)
            pd.DataFrame(lines).to_csv(file, index=False, float_format="%.6g")
            print(f"false alarms of {name}: {lines[-1]['false_biased_in_a_sweep']:.2g} in a sweep", flush=True)
    return pd.read_csv(file) if file.is_file() else None


def study_lines(noise: str, dim: int, studies: int, jobs: int) -> pd.DataFrame:
    """Returns the rows of one distribution in `dim` coordinates, of one clock or machine, or over problems."""
    if noise in CLOCKS:
        return pd.DataFrame(clock_lines(noise, range(studies), ThroughputSettings()))
    for cases, lines in LINES:
        if noise in cases:
            return pd.DataFrame(lines(noise, range(studies)))
    if noise in REAL:
        return pd.DataFrame(real_lines(noise, studies))
    return coverage([StudyCase(noise, dim, bias) for bias in BIASES], studies, jobs=jobs)


if __name__ == "__main__":
    main()
