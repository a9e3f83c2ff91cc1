"""Trains a user's model by an estimator, one stretch at a time; runs in the worker process."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from bench.advice.own_model import OwnModel
from bench.numerics.tensors import Tensors
from estimators.core import Estimator, Evidence, Fitted, ImportanceBound
from estimators.errors import BadInput, nearest
from estimators.nested import kind_of
from estimators.registry import get

OPTIMISERS: dict[str, Callable[..., Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}
OptimiserOf = str | Callable[[Iterable[Tensor]], Optimizer]
"""A name of `OPTIMISERS`, or a function of parameters that gives an optimiser."""


@dataclass(frozen=True)
class Stretch:
    """So many training steps by `estimator` with n = `samples`. `maximise`: E f is made large, else small; None: large
    where f is a bound on the evidence."""

    estimator: str | Estimator
    samples: int
    steps: int
    optimiser: Any
    learning_rate: float
    maximise: bool | None = None


@dataclass
class Trainer:
    """Trains θ of a model; the optimiser's state is kept from one stretch to the next."""

    model: OwnModel
    theta: Tensors = field(init=False)
    optimiser: Optimizer | None = None

    def __post_init__(self) -> None:
        self.theta = self.model.leaves()

    def train(self, asked: Stretch) -> Tensors:
        """Returns θ after the stretch. Raises BadInput if θ is no longer finite."""
        if self.optimiser is None:
            self.optimiser = optimiser_of(asked.optimiser, list(self.theta.values()), asked.learning_rate)
        estimator, f = asked.estimator, self.model.objective
        estimator = get(estimator) if isinstance(estimator, str) else estimator
        if isinstance(estimator, Fitted) and estimator.state is None and estimator.steps:
            estimator = estimator.fit(self.model.distribution(self.model.theta), f, asked.samples, estimator.steps)
        bound = isinstance(f, ImportanceBound) or kind_of(f) is Evidence
        large = bound if asked.maximise is None else asked.maximise
        try:
            for _ in range(asked.steps):
                q, of_step = self.model.distribution(self.theta), self.model.objective_of_step()
                value = estimator.surrogate(q, of_step, asked.samples).mean()
                self.optimiser.zero_grad()
                (-value if large else value).backward()
                self.optimiser.step()
        finally:  # a distribution may refuse what is not finite, in words that do not say where it came from
            self._check()
        return {name: value.detach().clone() for name, value in self.theta.items()}

    def _check(self) -> None:
        for name, value in self.theta.items():
            if not bool(value.isfinite().all()):
                raise BadInput(f"training made the parameter {name!r} NaN or infinite; a smaller learning rate may do")


def optimiser_of(given: Any, leaves: list[Tensor], learning_rate: float) -> Optimizer:
    """Returns the optimiser of that name, or the one that the user's function makes."""
    if not isinstance(given, str):
        return given(leaves)
    kinds = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "rmsprop": torch.optim.RMSprop,
        "sgd": torch.optim.SGD,
    }
    if given not in kinds:
        raise BadInput(f"there is no optimiser {given!r}; {nearest(given, OPTIMISERS)}")
    return kinds[given](leaves, lr=learning_rate)
