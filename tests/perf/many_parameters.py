"""Time and memory of an accuracy cell with many parameters, each in a separate process, with one thread.

    GRADEST_NO_SHAPES=1 OMP_NUM_THREADS=1 python -m tests.perf.many_parameters [--beside DIR] [--resolution X] [P:R ...]

The cell: reparameterised Normals with a quadratic f, P parameters, R estimates. With `--beside`, each case also runs on
another revision in the folder DIR, directly before. A resolution of 0.5 settles the verdict, so that no cell gets a
second stage. A line has the processor time of the cell, the shares of it that go
to drawing estimates and to summing them up, and the largest resident set of the process.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CASES = ("200000:64", "200000:256", "200000:1024", "1000000:1024")
TREE = Path(__file__).parents[2]


def timed(kind: type, name: str, spent: dict[str, float]) -> None:
    """Adds the processor time of a method, without that of calls inside it, to `spent`."""
    method: Callable[..., Any] = getattr(kind, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        start = time.process_time()
        found = method(*args, **kwargs)
        spent[name] = spent.get(name, 0.0) + time.process_time() - start
        return found

    setattr(kind, name, call)


def measured(parameters: int, replicates: int, resolution: float) -> dict[str, float]:
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
    from bench.statistics.stream import Replicates
    from bench.system.optional import keep_freed_memory

    keep_freed_memory()  # as workers do
    torch.set_num_threads(1)
    problem = Problem(distributions.get("normal", size=parameters // 2), objectives.get("quadratic"))
    exact = reference(problem)
    spent: dict[str, float] = {}
    timed(Gradients, "__call__", spent)
    timed(Replicates, "add", spent)
    settings = AccuracySettings(bias_resolution=resolution, min_replicates=replicates, max_replicates=replicates)
    start = time.process_time()
    found = measure_accuracy(
        problem,
        estimators.get("reparameterisation"),
        1,
        settings,
        exact,
        execution=Execution("many", 0),
    )
    cell = time.process_time() - start
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    own = {"cell": cell, "draws": spent["__call__"], "moments": spent["add"], "resident": most}
    variance = next(row.value for row in found.measurements if row.metric == "variance")
    return own | {"variance": variance or 0.0}


def line(case: str, resolution: float, tree: Path) -> str:
    """One case on one revision, in words."""
    environment = os.environ | {"PYTHONPATH": str(tree)}
    command = [sys.executable, __file__, "--alone", case, "--resolution", str(resolution)]
    done = subprocess.run(command, env=environment, cwd=tree, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}"
    found = json.loads(done.stdout)
    shares = {name: found[name] / found["cell"] for name in ("draws", "moments")}
    return (
        f"{found['cell']:7.1f} s  draws {shares['draws']:4.0%}  moments {shares['moments']:4.0%}  "
        f"rest {1 - sum(shares.values()):4.0%}  {found['resident']:.2f} GiB  variance {found['variance']:.12g}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=CASES)
    parser.add_argument("--beside", type=Path)
    parser.add_argument("--resolution", type=float, default=0.02)
    parser.add_argument("--alone", action="store_true")
    asked = parser.parse_args()
    for case in asked.cases:
        parameters, replicates = map(int, case.split(":"))
        if asked.alone:
            print(json.dumps(measured(parameters, replicates, asked.resolution)))
            continue
        trees = {"before": asked.beside, "now": TREE} if asked.beside else {"now": TREE}
        for name, tree in trees.items():
            print(
                f"P = {parameters:9,}  R = {replicates:5,}  {name:6} {line(case, asked.resolution, tree)}", flush=True
            )


if __name__ == "__main__":
    main()
