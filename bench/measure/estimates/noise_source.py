"""Random numbers for what is noisy besides the draws: minibatches, and noise of f itself.

They come from a source of their own, so that two estimates can share their data and differ in their draws, or share
their draws and differ in their data.
"""

from collections.abc import Callable
from copy import copy
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from bench.measure.estimates.calls import ENTRIES
from bench.measure.estimates.gradients import Gradients
from bench.measure.execution.modes import kept_generator
from estimators.core import Objective

_T = TypeVar("_T")


class NoiseSource:
    """Runs actions on torch's generator at seeds of their own, and restores the generator after each.

    A source with the same seed gives the same noise, call by call.

    Args:
        seed: Seed of the first action; each action has the next.
        device: Device whose generator is restored, besides the CPU's.
    """

    def __init__(self, seed: int, device: str | torch.device = "cpu") -> None:
        self.seed, self.device = seed, device

    def __call__(self, action: Callable[[], _T]) -> _T:
        with kept_generator(self.device):
            torch.manual_seed(self.seed)
            self.seed += 1
            return action()


def with_noise_of(gradients: Gradients, source: NoiseSource) -> Gradients:
    """The same gradients, eager, whose minibatches and noise of f come from `source`."""
    own = gradients.by(gradients.estimator)
    own.data_source = source
    if own.function.noisy:
        own.function = drawing_from(own.function, source)
    return own


def drawing_from(f: Objective, source: NoiseSource) -> Objective:
    """A copy of f, of the same kind, whose calls draw from `source` and leave torch's generator as it was."""
    kind = type(f)

    def entry(method: Any) -> Any:
        def call(self: Objective, z: Tensor, q: Distribution) -> Tensor:
            return source(lambda: method(self, z, q))

        return call

    own = copy(f)
    methods = {name: entry(getattr(kind, name)) for name in ENTRIES if hasattr(kind, name)}
    own.__class__ = type(kind.__name__, (kind,), methods)
    return own
