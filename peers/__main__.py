"""gradest side by side with its peers: the same problems, interleaved in one run, right before quick.

    python -m peers ENVIRONMENTS [--cases bits/rloo …] [--rounds 5] [--seconds 0.3] [--out results/peers]

`ENVIRONMENTS` is the folder of the virtual environments that `make peers` makes. In each round every side is timed on
a case for a moment, one after the other; a ratio compares what ran within the same second or two. A side whose mean or
variance differs from ours is shown as wrong, whatever its speed.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from peers.page import page
from peers.problems import CASES, write
from peers.side import LOOPS, OURS, SIDES, Side

FEW = 2_000
"""Estimates that a slow side is checked with; others make ten times as many."""


def main() -> None:
    arguments = parsed()
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    data = out / "problems.npz"
    write(data)
    sides = {name: Side(Path(arguments.environments), data, name) for name in SIDES}
    absent = {name: side.skipped for name, side in sides.items() if side.skipped}
    rows, loads = [], [os.getloadavg()[0]]
    for case in arguments.cases:
        rows += compared({name: side for name, side in sides.items() if case in side.cases}, case, arguments)
        loads.append(os.getloadavg()[0])
        table = pd.DataFrame(rows)
        print(table[table["case"] == case].to_string(index=False), flush=True)
        table.to_csv(out / "peers.csv", index=False, float_format="%.6g")
        (out / "README.md").write_text(page(table, arguments.seconds, loads, absent), encoding="utf-8")
    for side in sides.values():
        side.close()


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m peers", description="gradest beside its peers")
    parser.add_argument("environments")
    parser.add_argument("--cases", nargs="*", choices=[*CASES], default=[*CASES], metavar="PROBLEM/ESTIMATOR")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--out", default="results/peers")
    return parser.parse_args()


def compared(sides: dict[str, Side], case: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One line of the table per side: its arrangement, the verdict on it, and its rate in each round."""
    built = {name: side.time(case, seconds=0.0) for name, side in sides.items()}
    found = interleaved(sides, case, arguments.rounds, arguments.seconds)
    own = sides[OURS].moments(case, 10 * FEW)
    return [
        {
            "case": case,
            "draws": CASES[case],
            "side": name,
            "arrangement": built[name].get("arrangement", ""),
            "check": verdict(own, side.moments(case, FEW if name in LOOPS else 10 * FEW)),
        }
        | {f"round {i}": each.get("rate", float("nan")) for i, each in enumerate(found[name], 1)}
        | {f"cpu round {i}": each.get("cpu rate", float("nan")) for i, each in enumerate(found[name], 1)}
        for name, side in sides.items()
    ]


def interleaved(sides: dict[str, Side], case: str, rounds: int, seconds: float) -> dict[str, list[dict[str, Any]]]:
    """What each side says of its speed in each round."""
    said: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            said[name].append(side.time(case, seconds))
    return said


def verdict(own: dict[str, Any], other: dict[str, Any]) -> str:
    """Whether a side's mean and variance are ours: 7 standard errors in every coordinate, 6 and 2 % in the trace."""
    if "error" in own or "error" in other:
        return f"failed: {other.get('error') or own['error']}"
    difference = np.abs(np.subtract(own["mean"], other["mean"]))
    error = np.hypot(own["mean_error"], other["mean_error"])
    scale = float(np.abs(own["mean"]).max())
    if (difference > 7 * error + 1e-5 * scale).any():
        return f"WRONG: a mean is off by {float((difference / np.maximum(error, 1e-12)).max()):.0f} standard errors"
    allowed = 6 * np.hypot(own["trace_error"], other["trace_error"]) + 0.02 * own["trace"]
    if abs(own["trace"] - other["trace"]) > allowed:
        return f"other variance: {other['trace'] / own['trace']:.3g} of ours"
    return "agrees"


if __name__ == "__main__":
    main()
