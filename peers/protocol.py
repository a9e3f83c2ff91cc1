"""What every side speaks: a process of its own environment that times a step, or tells its moments, when asked.

Standard library and numpy alone, as it runs in every environment. A side is a table of cases; a case is a function
without arguments that builds its arrangements by name, once, of which the quickest stays; a step makes some estimates
and gives (how many, mean, sum of the centred squares), as the device holds them.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Step = Callable[[], tuple[int, Any, Any]]
Case = Callable[[], dict[str, Step]]


def serve(cases: dict[str, Case], wait: Callable[[Any], object] = lambda values: None, skipped: str = "") -> None:
    """Answers requests line by line; `wait` blocks until values are computed; `skipped` says why there are no cases."""
    answers, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr  # libraries may print
    os.dup2(2, 1)
    built: dict[str, tuple[str, Step]] = {}

    def say(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    say({"cases": sorted(cases), "skipped": skipped})
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            name = asked["case"]
            if name not in built:
                built[name] = quickest(cases[name](), wait)
            arrangement, step = built[name]
            answer = {"time": timed, "moments": moments}[asked["do"]](step, wait, **asked["how"])
            say(answer | {"arrangement": arrangement})
        except Exception as error:
            say({"error": f"{type(error).__name__}: {error}"[:300]})


def timed(step: Step, wait: Callable[[Any], object], seconds: float) -> dict[str, Any]:
    """Steps over at least so many seconds, back to back, with one wait at the end: replicates, seconds, and what all
    threads of the process spent on a CPU."""
    replicates, start, cpu = 0, time.perf_counter(), time.process_time()
    while True:
        count, mean, spread = step()
        replicates += count
        if time.perf_counter() - start >= seconds:
            wait((mean, spread))
            spent = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
            return {"replicates": replicates} | spent


def moments(step: Step, wait: Callable[[Any], object], replicates: int) -> dict[str, Any]:
    """The mean of at least so many estimates with its standard errors, and the variance's trace with its own."""
    parts = []
    while sum(count for count, *_ in parts) < replicates or len(parts) < 20:
        count, mean, spread = step()
        parts.append((count, np.array(mean, dtype=np.float64), float(np.array(spread, dtype=np.float64).sum())))
    means = np.stack([mean for _, mean, _ in parts])
    traces = np.array([spread / max(count - 1, 1) for count, _, spread in parts])
    return {
        "mean": means.mean(0).tolist(),
        "mean_error": (means.std(0, ddof=1) / len(parts) ** 0.5).tolist(),
        "trace": float(traces.mean()),
        "trace_error": float(traces.std(ddof=1) / len(parts) ** 0.5),
    }


def quickest(steps: dict[str, Step], wait: Callable[[Any], object], seconds: float = 0.1) -> tuple[str, Step]:
    """The arrangement of a case that makes the most estimates per second, by the best of three looks in turn."""
    for step in steps.values():
        wait(step())
    looks = [(name, step) for _ in range(3 if len(steps) > 1 else 1) for name, step in steps.items()]
    rates = dict.fromkeys(steps, 0.0)
    for name, step in looks:
        found = timed(step, wait, seconds if len(steps) > 1 else 0.0)
        rates[name] = max(rates[name], found["replicates"] / max(found["seconds"], 1e-9))
    best = max(rates, key=lambda name: rates[name])
    return best, steps[best]
