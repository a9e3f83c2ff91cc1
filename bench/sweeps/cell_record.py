"""Measures one cell and one group of metrics, and returns its record."""

import json
import time
import traceback
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

import torch

from bench.isolation.endings import about_memory, message
from bench.measure.accuracy import accuracy
from bench.measure.estimates.prepared import Execution
from bench.measure.execution.process_state import Kept
from bench.measure.timing import throughput
from bench.plugins.settings import checked
from bench.problems.exact import Reference, reference
from bench.problems.finite import NotFinite, not_finite
from bench.problems.problem import Problem
from bench.problems.theta import as_vector
from bench.statistics.yardstick import Scale
from bench.suites.cell import IDENTITY, Cell, estimator_of, problem_of
from bench.suites.suite import SETTINGS_TYPES, Group
from bench.tables.columns import ABSENT_IN_OLDER, SCHEMA
from bench.tables.metrics import Measurement, Outcome
from bench.tables.records import Record, Task
from estimators.text import visible

CellStatus = Literal["ok", "not_applicable", "failed", "timeout", "crashed", "out_of_memory", "nonfinite"]


START_POINT = "start"
"""The name of the point at which training starts."""


@lru_cache(maxsize=512)
def _reference(problem: Problem) -> Reference | NotFinite | None:
    """The exact gradient, or the error raised in its place; cached per problem and process."""
    try:
        return reference(problem)
    except NotFinite as error:
        return error


def measure_cell(cell: Cell, task: Group) -> Record:
    """Measures one group of metrics of a cell; a Python exception is reported in the record and not raised."""
    start = time.perf_counter()
    with Kept() as kept:
        found = attempt(lambda: _measured(cell, task))
    assert found is not None
    if kept.changed:
        found["reason"] = "; ".join(filter(None, (found["reason"], f"changed {' and '.join(kept.changed)}: restored")))
    return record(cell, task, found, time.perf_counter() - start)


def _measured(cell: Cell, task: Group) -> Record:
    problem = problem_of(cell)
    return finished(MEASURES[task](cell, problem), problem)


def attempt(action: Callable[[], Record | None]) -> Record | None:
    """Returns the result of `action`, or if it raises, the outcome columns of a cell that failed."""
    try:
        return action()
    except NotFinite as error:
        return ended("nonfinite", str(error))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: an estimator does not end its process by it
        return ended("out_of_memory" if about_memory(error) else "failed", _sentence(error))


def ended(status: CellStatus, reason: str) -> Record:
    """The outcome columns of a cell without measurements."""
    return {
        "status": status,
        "reason": visible(reason),
        "verdict": "",
        "direction": "",
        "scale_verdict": "",
        "batches": "",
        "stop_reason": "",
        "replicates": None,
        "measurements": [],
    }


def record(cell: Cell, task: Task, outcome: Record, wall_s: float) -> Record:
    """One line of the record file: the identity of the cell, and how its measurement ended.

    Args:
        cell: The cell.
        task: The group of metrics, or `plan`.
        outcome: The outcome columns and measurements, as `ended` and `finished` return them.
        wall_s: Seconds that the measurement took.
    """
    identity = {name: getattr(cell, name) for name in (*IDENTITY, "dim", "kind", "plugin", "source_digest")}
    return {
        "schema": SCHEMA,
        "cell": cell.id,
        "task": task,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_s": max(0.0, wall_s),
        "threads": torch.get_num_threads(),
        **ABSENT_IN_OLDER,
        **identity,
        **outcome,
    }


@lru_cache(maxsize=64)
def settings_of(group: Group, text: str) -> Any:
    """The settings of a group of metrics from a cell's text; cached, because most cells of a sweep share them."""
    return checked(SETTINGS_TYPES[group], json.loads(text), group)


def _accuracy(cell: Cell, problem: Problem) -> Outcome:
    estimator, settings = estimator_of(cell), settings_of("accuracy", cell.accuracy)
    exact = _reference(replace(problem, minibatch=None))
    if isinstance(exact, NotFinite):
        raise exact
    scale = start_scale(problem)
    return accuracy.measure_accuracy(
        problem, estimator, cell.samples, settings, exact, execution=execution(cell), scale=scale
    )


def start_scale(problem: Problem) -> Scale | None:
    """The length of the gradient at the point `start`, for a problem at another point that has one; else None."""
    points = (*problem.family.points, *problem.objective.points)
    if START_POINT not in points or problem.point == START_POINT:
        return None
    found = _reference(replace(problem, point=START_POINT, minibatch=None))
    return Scale.at_start(float(as_vector(found.gradient).norm())) if isinstance(found, Reference) else None


def _throughput(cell: Cell, problem: Problem) -> Outcome:
    settings = settings_of("throughput", cell.throughput)
    return throughput.measure_throughput(problem, estimator_of(cell), cell.samples, settings, execution(cell))


MEASURES = {"accuracy": _accuracy, "throughput": _throughput}


def execution(cell: Cell) -> Execution:
    """The device, dtype, mode and seeds of a cell."""
    return Execution(cell.id, cell.seed, cell.device, getattr(torch, cell.dtype), cell.mode)


def finished(outcome: Outcome, problem: Problem) -> Record:
    """An outcome as plain values.

    If any value is NaN or infinite, the status is `nonfinite`; if the objective is not finite at some value of z, the
    reason names this value.
    """
    numbers = [number for each in outcome.measurements for number in (each.value, each.ci_low, each.ci_high)]
    wrong = [number for number in numbers if number is not None and not -INFINITE < number < INFINITE]
    if wrong:
        rate = next((each.value for each in outcome.measurements if each.metric == "nonfinite_rate"), None)
        share = f"{rate:.2g} of the estimates are" if rate else "its statistics are"
        cause = not_finite(problem)
        return ended("nonfinite", "; ".join(filter(None, (f"{share} NaN or infinite", cause))))
    return {
        "status": "ok",
        "reason": outcome.reason,
        "verdict": outcome.verdict,
        "direction": outcome.direction,
        "scale_verdict": outcome.scale_verdict,
        "batches": outcome.batches,
        "stop_reason": outcome.stop_reason,
        "replicates": outcome.replicates,
        "measurements": [_plain(each) for each in outcome.measurements],
    }


INFINITE = float("inf")


def _plain(each: Measurement) -> dict[str, Any]:
    found = {column.name: getattr(each, column.name) for column in fields(each)}
    return found | {"block": visible(each.block), "method": visible(each.method)}


def _sentence(error: BaseException) -> str:
    """The error in one line, with file and line where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename.rsplit('/', 1)[-1]}, line {frames[-1].lineno})" if frames else ""
    text = " ".join(message(error).split())[:500]
    return visible(f"{type(error).__name__}: {text}{place}")
