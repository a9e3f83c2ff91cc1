"""One cell of the grid, and its measurement: one cell and one group of metrics → one record."""

import json
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from bench.distributions import distributions
from bench.objectives import objectives
from bench.plugins.settings import build
from bench.problems.problem import Problem
from bench.provenance.identity import json_digest
from estimators.core import Estimator
from estimators.registry import estimators


def _extra() -> Any:
    return field(default="", compare=False)


@dataclass(frozen=True)
class Cell:
    """One estimator on one problem with one budget: all that determines the number, as plain values.

    Settings are canonical JSON, defaults included but for those of settings that were added later. `accuracy` and
    `throughput` are those groups' settings.
    `forced`: measured though the pair does not fit. The last fields are facts about the cell, not its identity.
    """

    estimator: str
    estimator_params: str
    estimator_version: int
    distribution: str
    distribution_params: str
    objective: str
    objective_params: str
    problem_version: str
    coordinates: str
    point: str
    samples: int
    seed: int
    device: str
    dtype: str
    mode: str
    accuracy: str
    throughput: str
    forced: bool = False
    dim: int = field(default=0, compare=False)
    plugin: str = _extra()
    source_digest: str = _extra()
    reason: str = _extra()
    """Why the cell is not applicable; empty when it is."""

    @cached_property
    def id(self) -> str:
        """A hash of what determines the number, and of nothing else: neither of the table's schema, nor of a setting
        that was added later and stands at its default (`bench.plugins.settings.identifying`)."""
        own = {name: getattr(self, name) for name in IDENTITY}
        return json_digest(own | {"device": self.device.split(":")[0], **FORM})

    @property
    def label(self) -> str:
        """The cell in one line, for people."""
        settings = self.estimator_params if self.estimator_params != "{}" else ""
        return f"{self.estimator}{settings} on {self.objective}/{self.distribution}, n = {self.samples} [{self.id}]"


IDENTITY = tuple(column.name for column in fields(Cell) if column.compare)
FORM = {"schema": 1}
"""Part of every id since the first: it stays when the schema of the table goes on."""


def problem_of(cell: Cell) -> Problem:
    """The cell's problem."""
    family = build(distributions, cell.distribution, json.loads(cell.distribution_params), cell.distribution)
    target = build(objectives, cell.objective, json.loads(cell.objective_params), cell.objective)
    return Problem(family, target, cell.coordinates, cell.point)


def estimator_of(cell: Cell) -> Estimator:
    """The cell's estimator."""
    return build(estimators, cell.estimator, json.loads(cell.estimator_params), cell.estimator)
