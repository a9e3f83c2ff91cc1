"""One cell of the grid: an estimator on a problem with a budget, as plain values with an id."""

import json
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from bench.distributions import distributions
from bench.objectives import objectives
from bench.plugins.settings import build, public
from bench.problems.problem import Problem
from bench.provenance.identity import canonical, json_digest
from estimators.core import Estimator
from estimators.registry import estimators


def _extra() -> Any:
    return field(default="", compare=False)


@dataclass(frozen=True)
class Cell:
    """One estimator on one problem with one budget: everything that determines the number, as plain values.

    Settings are canonical JSON with their defaults, except the defaults of settings added later. `accuracy` and
    `throughput` are the settings of these groups of metrics. `forced`: measured although estimator and problem do not
    fit. The fields after `forced` describe the cell and are not part of its identity.
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
    kind: str = _extra()
    plugin: str = _extra()
    source_digest: str = _extra()
    reason: str = _extra()
    """Why the cell is not applicable; empty if it is applicable."""

    @cached_property
    def id(self) -> str:
        """A hash of everything that determines the number.

        It does not depend on the table's schema, nor on a setting added later that has its default value
        (`bench.plugins.settings.identifying`).
        """
        own = {name: getattr(self, name) for name in IDENTITY}
        return json_digest(own | {"device": self.device.split(":")[0], **FORM})

    @property
    def label(self) -> str:
        """A one-line description of the cell."""
        settings = self.estimator_params if self.estimator_params != "{}" else ""
        return f"{self.estimator}{settings} on {self.objective}/{self.distribution}, n = {self.samples} [{self.id}]"


IDENTITY = tuple(column.name for column in fields(Cell) if column.compare)
FORM = {"schema": 1}
"""Part of every cell id; it stays the same when the schema of the table changes."""


def with_minibatch(params: str, minibatch: int | None) -> str:
    """The text of an objective's settings with the number of data in a minibatch; unchanged for all data.

    >>> with_minibatch("{}", 20), with_minibatch('{"noise":0.7}', None)
    ('{"minibatch":20}', '{"noise":0.7}')
    """
    return params if minibatch is None else canonical(json.loads(params) | {MINIBATCH: minibatch})


MINIBATCH = "minibatch"
"""The key of a problem's minibatch among the settings of its objective: a cell on all data has the id it always had."""


def problem_of(cell: Cell) -> Problem:
    """Builds the problem of a cell."""
    family = build(distributions, cell.distribution, json.loads(cell.distribution_params), cell.distribution)
    settings = json.loads(cell.objective_params)
    minibatch = None if MINIBATCH in public(objectives.lookup(cell.objective)) else settings.pop(MINIBATCH, None)
    target = build(objectives, cell.objective, settings, cell.objective)
    return Problem(family, target, cell.coordinates, cell.point, minibatch)


def estimator_of(cell: Cell) -> Estimator:
    """Builds the estimator of a cell."""
    return build(estimators, cell.estimator, json.loads(cell.estimator_params), cell.estimator)
