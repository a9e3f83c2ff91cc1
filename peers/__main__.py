"""gradest side by side with its peers: the same problems, interleaved in one run, right before quick.

    python -m peers ENVIRONMENTS [--cases bits/rloo …] [--rounds 5] [--seconds 0.3] [--out results/peers]

`ENVIRONMENTS` is the folder of the virtual environments that `make peers` makes. Every side is a process that waits
for its turn. In each round every side is timed on a case for a moment, one after the other; the ratio of a round
compares what ran within the same second or two, and the table has the median over rounds with the range. A side whose
mean or variance differs from ours is shown as wrong, whatever its speed.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pandas as pd

from peers.problems import CASES, write

HERE = Path(__file__).parent
SIDES = {
    "gradest, compiled": (None, "ours.py", "compile"),
    "gradest, eager": (None, "ours.py", "eager"),
    "torch loop": (None, "torch_loop.py", ""),
    "JAX jit(vmap(grad))": ("jax", "jax_vmap.py", ""),
    "optax": ("jax", "optax_jacobians.py", ""),
    "Storchastic, loop": ("storchastic", "storchastic.py", "loop"),
    "Storchastic, plate": ("storchastic", "storchastic.py", "plate"),
}
OURS = "gradest, compiled"
FEW = 2_000
"""Estimates that a slow side is checked with; others make ten times as many."""


class Side:
    """A process that answers requests about its cases."""

    def __init__(self, environments: Path, data: Path, name: str) -> None:
        environment, script, argument = SIDES[name]
        python = environments / environment / "bin" / "python" if environment else Path(sys.executable)
        paths = os.pathsep.join([str(HERE), str(HERE.parent)]) if environment is None else str(HERE)
        self.process = subprocess.Popen(
            [python, HERE / "sides" / script, data, argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "XLA_FLAGS": ONE_THREAD},
        )
        self.cases: list[str] = self._answer().get("cases", [])

    def ask(self, case: str, do: str, **how: float) -> dict[str, Any]:
        """What the side says of a case; `error` where it cannot."""
        if self.process.poll() is not None:
            return {"error": "the process has ended"}
        pipe = cast(IO[str], self.process.stdin)
        pipe.write(json.dumps({"case": case, "do": do, "how": how}) + "\n")
        pipe.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = cast(IO[str], self.process.stdout).readline()
        return json.loads(line) if line else {"error": "the process has ended"}

    def close(self) -> None:
        cast(IO[str], self.process.stdin).close()
        self.process.wait(10)


ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def main() -> None:
    arguments = parsed()
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    data = out / "problems.npz"
    write(data)
    sides = {name: Side(Path(arguments.environments), data, name) for name in SIDES}
    load = os.getloadavg()[0]
    rows = []
    for case in arguments.cases:
        there = {name: side for name, side in sides.items() if case in side.cases}
        rates = interleaved(there, case, arguments.rounds, arguments.seconds)
        rows += [row(case, name, rates, verdict(there, case, name)) for name in there]
        print(pd.DataFrame(rows[-len(there) :]).to_string(index=False), flush=True)
    for side in sides.values():
        side.close()
    table = pd.DataFrame(rows)
    table.to_csv(out / "peers.csv", index=False)
    (out / "README.md").write_text(page(table, arguments, (load, os.getloadavg()[0])), encoding="utf-8")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m peers", description="gradest beside its peers")
    parser.add_argument("environments")
    parser.add_argument("--cases", nargs="*", choices=[*CASES], default=[*CASES], metavar="PROBLEM/ESTIMATOR")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--out", default="results/peers")
    return parser.parse_args()


def interleaved(sides: dict[str, Side], case: str, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Replicates per CPU second of each side in each round; NaN where it failed. Building and warming up come before.

    A CPU second is the same on a busy machine, and a side that takes two threads pays for both.
    """
    for side in sides.values():
        side.ask(case, "time", seconds=0.0)
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            found = side.ask(case, "time", seconds=seconds)
            rates[name].append(float("nan") if "error" in found else found["replicates"] / found["cpu"])
    return rates


def verdict(sides: dict[str, Side], case: str, name: str) -> str:
    """Whether a side's mean and variance are ours: 7 standard errors in every coordinate, 6 and 2 % in the trace."""
    few = FEW if "loop" in name else 10 * FEW
    own, other = sides[OURS].ask(case, "moments", replicates=10 * FEW), sides[name].ask(case, "moments", replicates=few)
    if "error" in other:
        return f"failed: {other['error']}"
    difference = np.abs(np.subtract(own["mean"], other["mean"]))
    error = np.hypot(own["mean_error"], other["mean_error"])
    scale = float(np.abs(own["mean"]).max())
    if (difference > 7 * error + 1e-5 * scale).any():
        return f"WRONG: a mean is off by {float((difference / np.maximum(error, 1e-12)).max()):.0f} standard errors"
    allowed = 6 * np.hypot(own["trace_error"], other["trace_error"]) + 0.02 * own["trace"]
    if abs(own["trace"] - other["trace"]) > allowed:
        return f"other variance: {other['trace'] / own['trace']:.3g} of ours"
    return "agrees"


def row(case: str, name: str, rates: dict[str, list[float]], judged: str) -> dict[str, Any]:
    """One line of the table: the rate, and ours divided by it, round by round."""
    ratios = np.divide(rates[OURS], rates[name])
    return {
        "case": case,
        "draws": CASES[case],
        "side": name,
        "per CPU second": float(np.median(rates[name])),
        "gradest is faster by": float(np.median(ratios)),
        "least": float(np.min(ratios)),
        "most": float(np.max(ratios)),
        "check": judged,
    }


def page(table: pd.DataFrame, arguments: argparse.Namespace, load: tuple[float, float]) -> str:
    """The table for people."""
    lines = [
        "# gradest beside its peers",
        "",
        "Whole estimates per CPU second, mean and variance included, float32; medians of "
        f"{arguments.rounds} interleaved rounds of {arguments.seconds} s. The machine's load average was "
        f"{load[0]:.1f} at the start and {load[1]:.1f} at the end: a busy machine's caches slow all sides.",
        "Written by `make peers`.",
        "",
        "| case | draws | side | estimates per CPU second | gradest is faster by | range | mean, variance |",
        "|---|---|---|---|---|---|---|",
    ]
    for case, draws, side, rate, ratio, low, high, check in table.itertuples(index=False, name=None):
        span = "" if side == OURS else f"{low:.2g} to {high:.2g}"
        lines.append(f"| {case} | {draws} | {side} | {rate:,.0f} | {ratio:.2g} | {span} | {check} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
