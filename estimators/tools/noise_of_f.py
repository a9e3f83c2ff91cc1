"""The noise that an objective draws itself, on its own random numbers.

Two estimates can then share the noise of f and differ in their draws, or the other way round; and all calls of a
training step can see the same noise.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Objective
from estimators.tools.calls import VALUES

_T = TypeVar("_T")


class NoiseSource:
    """Runs actions on torch's generator at seeds of their own, and restores the generator after each.

    A source with the same seed gives the same noise, action by action.

    Args:
        seed: Seed of the first action.
        step: What is added to the seed after an action: 1, or 0 for the same noise in each.
    """

    def __init__(self, seed: int, step: int = 1) -> None:
        self.seed, self.step = seed, step

    def __call__(self, action: Callable[[], _T], device: torch.device | None = None) -> _T:
        """Returns what `action` returns; `device`: another device than the CPU on which it draws."""
        with generator_at(self.seed, device):
            self.seed += self.step
            return action()


@contextmanager
def generator_at(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """torch's generator at a seed, of the CPU and of `device`; restored at the end.

    On a CPU `torch.manual_seed` takes hundreds of microseconds, since it tells every backend.
    """
    if device is not None and device.type != "cpu":
        with torch.random.fork_rng(devices=[device], device_type=device.type):
            torch.manual_seed(seed)
            yield
        return
    state = torch.default_generator.get_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(state)


def drawing_from(f: Objective, source: NoiseSource) -> Objective:
    """Returns a copy of f, of the same kind, whose calls draw from `source` and leave torch's generator as it was."""
    kind = type(f)

    def entry(method: Any) -> Any:
        def call(self: Objective, z: Tensor, q: Distribution) -> Tensor:
            return source(lambda: method(self, z, q), z.device)

        return call

    own = copy(f)
    entries = [name for name in VALUES if name != "hold" and hasattr(kind, name)]
    own.__class__ = type(kind.__name__, (kind,), {name: entry(getattr(kind, name)) for name in entries})
    return own


def one_noise(f: Objective) -> Objective:
    """Returns f with one noise: all its calls draw the same random numbers, such as the same minibatch.

    Made again for every training step, it is one fixed function within the step, so that every estimator that is right
    for a function without noise is right, and couplings of draws keep what they save. f must draw from torch's
    generator. The seed comes from that generator.

    >>> from estimators import Function
    >>> f = one_noise(Function(lambda z: z + torch.randn(())))
    >>> torch.equal(f(torch.zeros(2), None), f(torch.zeros(2), None))
    True
    """
    return drawing_from(f, NoiseSource(int(torch.randint(2**62, ())), step=0))
