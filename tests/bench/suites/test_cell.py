"""One cell, one record; whatever happens inside."""

from collections import Counter

import pytest
import torch

from bench.measure.accuracy import accuracy
from bench.measure.estimates import gradients
from bench.provenance.identity import canonical
from bench.sweeps import cell_record
from bench.sweeps.cell_record import measure_cell
from bench.tables.columns import SCHEMA
from bench.tables.metrics import Measurement, Outcome
from bench.tables.records import parsed
from tests.support.sweeps import small_cells

CELL = small_cells()[0]


def test_an_accuracy_record_is_complete_and_repeats():
    first, again = (measure_cell(CELL, "accuracy") for _ in range(2))
    assert first["status"] == "ok" and first["verdict"] in ("unbiased", "biased", "unclear")
    metrics = {each["metric"] for each in first["measurements"]}
    assert {"variance", "relative_bias", "evaluations", "gradient_evaluations"} <= metrics
    times = {"fit_seconds"}
    assert [m for m in first["measurements"] if m["metric"] not in times] == [
        m for m in again["measurements"] if m["metric"] not in times
    ]
    assert parsed(canonical(first | {"env": "e"}).encode(), SCHEMA, "here") == first | {"env": "e"}


@pytest.mark.parametrize("name", ["rloo", "nvil"])
def test_a_cell_is_built_encoded_and_counted_once(monkeypatch, name):
    calls = Counter()
    places = {"encoded": gradients, "count": accuracy, "problem_of": cell_record, "estimator_of": cell_record}
    for function, module in places.items():
        own = getattr(module, function)
        noted = lambda *given, own=own, function=function: calls.update([function]) or own(*given)  # noqa: E731
        monkeypatch.setattr(module, function, noted)
    (cell, *_) = small_cells(estimators=[name], samples=[4])
    assert measure_cell(cell, "accuracy")["status"] == "ok"
    assert calls == dict.fromkeys(places, 1)


def test_a_throughput_record():
    cell = small_cells(throughput={"max_seconds": 0.1})[0]
    found = measure_cell(cell, "throughput")
    assert found["status"] == "ok"
    assert {each["metric"] for each in found["measurements"]} >= {"seconds_per_estimate"}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("wrong\nshape"), "failed"),
        (MemoryError(), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "out_of_memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "out_of_memory"),
    ],
)
def test_an_error_is_a_status_with_a_reason(monkeypatch, error, status):
    def wrong(cell, problem):
        raise error

    monkeypatch.setitem(cell_record.MEASURES, "accuracy", wrong)
    found = measure_cell(CELL, "accuracy")
    assert found["status"] == status and found["measurements"] == []
    assert type(error).__name__ in found["reason"] and "\n" not in found["reason"]


def test_a_number_that_is_none_is_a_status(monkeypatch):
    outcome = Outcome((Measurement("nonfinite_rate", 0.25), Measurement("variance", float("nan"))), 10, "budget")
    monkeypatch.setitem(cell_record.MEASURES, "accuracy", lambda *cell_and_problem: outcome)
    found = measure_cell(CELL, "accuracy")
    assert found["status"] == "nonfinite" and found["reason"] == "0.25 of the estimates are NaN or infinite"
