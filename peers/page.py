"""The table for people, with the targets; a ratio is the median over rounds of the ratios within a round."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from bench.provenance.machine import machine_environment
from peers.side import OURS
from peers.targets import TARGETS, Target

WALL, CPU = "round ", "cpu round "
"""How the columns of a side's rates begin: estimates per second, and per CPU second."""


def page(table: pd.DataFrame, seconds: float, loads: list[float], absent: dict[str, str]) -> str:
    """The whole page: how it was measured, every side of every case, the targets, and the sides that are not there."""
    lines = [
        "# gradest beside its peers",
        "",
        "Whole estimates per second on two cores, mean and variance included, float32; medians of "
        f"{len(rounds(table))} interleaved rounds of {seconds:g} s. A ratio is the median of the rounds' own ratios. "
        "gradest runs as `gradest run` does, a process per core with one thread each, and so does the limit in C; a "
        "peer runs in one process, with two threads where it has many estimates to work on, and JAX also with one "
        "thread, on two devices and in two processes; it may choose its generator (threefry2x32, its default, or rbg) "
        "and its chunk. The second ratio is of estimates per CPU second, which says who does less work, whatever the "
        "number of processes. "
        f"{machine_environment()['processor']}; load average {min(loads):.1f} to {max(loads):.1f} "
        "(one to two are our own). "
        "Written by `make peers`.",
        "",
        *sides(table),
        "",
        "Compared with what was aimed at (a side that is wrong or failed is not compared):",
        "",
        *against_targets(table),
    ]
    lines += [f"\n{name}: skipped, {reason}." for name, reason in absent.items()]
    return "\n".join([*lines, ""])


def sides(table: pd.DataFrame) -> Iterator[str]:
    """Every side of every case as lines of Markdown."""
    yield "| case | draws | side | arrangement | per second | gradest is faster by | range | per CPU second | check |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for case, rows in table.groupby("case", sort=False):
        by_name = rows.set_index("side")
        for name, row in by_name.iterrows():
            each, work = (ratios(by_name, OURS, str(name), unit) for unit in (WALL, CPU))
            rate = np.median(by_name.loc[name, rounds(table)].to_numpy(float))
            figures = (f"{rate:,.0f}", times(np.median(each)), between(each), times(np.median(work)))
            said = ("", "", "", "") if np.isnan(rate) else figures
            cells = (case, row["draws"], name, row["arrangement"], *said, row["check"])
            yield f"| {' | '.join(map(str, cells))} |"


def against_targets(table: pd.DataFrame) -> Iterator[str]:
    """The targets as lines of Markdown: the ratio of every case, which cases miss it, and why."""
    yield "| target | at least | cases: ratio | |"
    yield "|---|---|---|---|"
    for target in TARGETS:
        reached = found(table, target)
        if not reached:
            continue
        missed = [case for case, ratio in reached.items() if ratio < target.factor]
        cases = ", ".join(f"{case} {times(ratio)}" for case, ratio in reached.items())
        verdict = f"missed on {', '.join(missed)}: {target.why}" if missed else "reached"
        side = " or ".join(filter(None, (target.side, target.or_side)))
        yield f"| {target.ours} ÷ {side} | {target.factor:g} | {cases} | {verdict} |"


def found(table: pd.DataFrame, target: Target) -> dict[str, float]:
    """The paired ratio of every case of a target in which both sides ran and are right; the least of two sides.

    >>> rows = [["bits/rloo", "ours", "agrees", 80.0, 90.0, 10.0], ["bits/rloo", "JAX", "agrees", 100.0, 100.0, 10.0]]
    >>> table = pd.DataFrame(rows, columns=["case", "side", "check", "round 1", "round 2", "round 3"])
    >>> found(table, Target("JAX", ("bits",), 0.9, "", "ours"))
    {'bits/rloo': 0.9}
    """
    right = table[table["check"] == "agrees"]
    cases = {str(case): rows.set_index("side") for case, rows in right.groupby("case", sort=False)}
    return {
        case: min(
            float(np.median(ratios(rows, target.ours, side))) for side in {target.side, target.or_side} & {*rows.index}
        )
        for case, rows in cases.items()
        if case.split("/")[0] in target.problems and {target.ours, target.side} <= {*rows.index}
    }


def ratios(by_name: pd.DataFrame, ours: str, side: str, unit: str = WALL) -> np.ndarray:
    """Ours divided by the side's, round by round."""
    own, other = (by_name.loc[name, rounds(by_name, unit)].to_numpy(float) for name in (ours, side))
    return own / other


def times(ratio: float) -> str:
    """Two digits, without an exponent.

    >>> times(0.0512), times(1234.0)
    ('0.051', '1,200')
    """
    return f"{float(f'{ratio:.2g}'):,g}"


def between(each: np.ndarray) -> str:
    return f"{times(each.min())} to {times(each.max())}"


def rounds(table: pd.DataFrame, unit: str = WALL) -> list[str]:
    return [column for column in table.columns if column.startswith(unit)]
