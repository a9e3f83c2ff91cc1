"""What a training step costs: seconds, calls of f, or a number that the user's own function gives for draws."""

from collections.abc import Callable
from copy import copy
from typing import Any

import torch
from torch import Tensor

from bench.measure.estimates.calls import ENTRIES, counting
from estimators.core import Objective

StepCost = str | Callable[[Tensor], Any]
"""`"seconds"`, `"calls"`, or a function of the draws that f is asked at, summed over them (generated tokens)."""
COSTS = ("seconds", "calls")


class Meter:
    """An objective that counts its calls or costs. `read` returns the count since the last reading."""

    def __init__(self, f: Objective, cost: StepCost) -> None:
        self._total, self._read = 0.0, 0.0
        if cost == "calls":
            self.objective, tally = counting(f)
            self._now: Callable[[], float] = lambda: float(tally.values)
        else:
            assert callable(cost)
            self.objective = self._metered(f, cost)
            self._now = lambda: self._total

    def read(self) -> float:
        now = self._now()
        spent, self._read = now - self._read, now
        return spent

    def _metered(self, f: Objective, cost: Callable[[Tensor], Any]) -> Objective:
        meter, kind = self, type(f)

        def entry(method: Any) -> Any:
            def call(self: Objective, z: Tensor, *more: Any) -> Tensor:
                if not getattr(self, "_inside", False):
                    meter._total += float(torch.as_tensor(cost(z.detach())).double().sum())
                outer, self._inside = getattr(self, "_inside", False), True  # type: ignore[attr-defined]
                try:
                    return method(self, z, *more)
                finally:
                    self._inside = outer  # type: ignore[attr-defined]

            return call

        wrapped = copy(f)
        methods = {name: entry(getattr(kind, name)) for name in ENTRIES if hasattr(kind, name)}
        wrapped.__class__ = type(kind.__name__, (kind,), methods)
        return wrapped


def unit_of(cost: StepCost) -> str:
    """The unit of a cost, in a word."""
    return {"seconds": "s", "calls": "calls of f"}[cost] if isinstance(cost, str) else getattr(cost, "__name__", "cost")
