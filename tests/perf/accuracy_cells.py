"""How fast whole accuracy cells are, beside the draws alone: eager and compiled, float32, one thread.

    GRADEST_NO_SHAPES=1 OMP_NUM_THREADS=1 python -m tests.perf.accuracy_cells [--beside DIR] [--turns N] [CELL ...]

A cell is `bits` (200 bits, rloo, n = 4) or `vae` (64 bits, disarm, n = 2), eager or compiled, as in `bits:compile`. Its
time is that of `measure_accuracy` without compiling. The draws alone are as many chunks, drawn and thrown away
directly afterwards. With `--beside`, each cell also runs on another revision in the folder DIR, in turns. Estimates a
second of processor time; the ratio is the median over the turns.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CELLS = {"bits:eager": 2**18, "bits:compile": 2**20, "vae:eager": 2**15, "vae:compile": 2**16}
"""The number of estimates of each cell: one to two seconds of draws."""
TREE = Path(__file__).parents[2]


def measured(cell: str) -> dict[str, float]:
    """Runs one cell in this process."""
    import torch

    import estimators
    from bench.distributions import distributions
    from bench.measure.accuracy.accuracy import measure_accuracy
    from bench.measure.accuracy.stopping import AccuracySettings
    from bench.measure.estimates.gradients import Gradients
    from bench.measure.estimates.prepared import Execution
    from bench.objectives import objectives
    from bench.problems.exact import reference
    from bench.problems.problem import Problem
    from bench.system.optional import keep_freed_memory

    keep_freed_memory()  # as workers do
    torch.set_num_threads(1)
    kind, mode = cell.split(":")
    problem, name, samples = {
        "bits": (
            Problem(distributions.get("bernoulli", size=200), objectives.get("quadratic_bits", t=0.499)),
            "rloo",
            4,
        ),
        "vae": (
            Problem(distributions.get("bernoulli_encoder", size=64), objectives.get("digits_vae"), point="start"),
            "disarm",
            2,
        ),
    }[kind]
    calls: list[tuple[Gradients, int, float]] = []
    draw = Gradients.__call__

    def timed(self: Gradients, replicates: int) -> torch.Tensor:
        start = time.process_time()
        found = draw(self, replicates)
        if isinstance(self.estimator, type(estimators.get(name))):
            calls.append((self, replicates, time.process_time() - start))
        return found

    Gradients.__call__ = timed
    count, exact = CELLS[cell], reference(problem)
    settings = AccuracySettings(bias_resolution=0.5, min_replicates=count, max_replicates=count)
    start = time.process_time()
    execution = Execution("speed", 0, dtype=torch.float32, mode=mode)
    found = measure_accuracy(problem, estimators.get(name), samples, settings, exact, execution=execution)
    whole = time.process_time() - start
    Gradients.__call__ = draw
    gradients, chunk, _ = calls[-1]
    own = [seconds for each, replicates, seconds in calls if each is gradients and replicates == chunk]
    compiling = own[0] - statistics.median(own) if mode == "compile" else 0.0
    start = time.process_time()
    for _ in range(count // chunk):
        gradients(chunk)
    alone = time.process_time() - start
    variance = next(row.value for row in found.measurements if row.metric == "variance")
    return {"cell": count / (whole - compiling), "draws": count / alone, "chunk": chunk, "variance": variance or 0.0}


def run(cell: str, tree: Path) -> dict[str, Any]:
    """One cell on one revision, in a separate process."""
    environment = os.environ | {"PYTHONPATH": str(tree)}
    command = [sys.executable, __file__, "--alone", cell]
    done = subprocess.run(command, env=environment, cwd=tree, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cells", nargs="*", default=list(CELLS))
    parser.add_argument("--beside", type=Path)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--alone", action="store_true")
    asked = parser.parse_args()
    for cell in asked.cells:
        if asked.alone:
            print(json.dumps(measured(cell)))
            continue
        trees = {"before": asked.beside, "now": TREE} if asked.beside else {"now": TREE}
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in trees}
        for _ in range(asked.turns):
            for name, tree in trees.items():
                found[name].append(run(cell, tree))
        for name, turns in found.items():
            cells, draws = ([turn[key] for turn in turns] for key in ("cell", "draws"))
            ratio = statistics.median(a / b for a, b in zip(cells, draws, strict=True))
            print(
                f"{cell:13} {name:6}  draws {max(draws) / 1e3:8.1f}k/s  cell {max(cells) / 1e3:8.1f}k/s  "
                f"cell ÷ draws {ratio:.2f}  chunk {turns[0]['chunk']:,.0f}  variance {turns[0]['variance']:.15g}",
                flush=True,
            )


if __name__ == "__main__":
    main()
