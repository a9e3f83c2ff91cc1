"""Exact values of states for a critic: from the objective itself, or from a class registered for the policy."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Objective
from estimators.errors import BadInput
from estimators.tools.parameters import base


class StateValues(ABC):
    """Computes the expected rewards from each step on, given the steps before it, under one class of policies."""

    @abstractmethod
    def fits(self, q: Any, f: Objective) -> bool:
        """Returns whether the values of this policy and objective can be computed."""

    @abstractmethod
    def at(self, q: Any, f: Objective, z: Tensor) -> Tensor:
        """Returns the values at the steps of draws z, `[*sample, *batch, T]`."""


_Class = TypeVar("_Class", bound=type[StateValues])


class Registered:
    """Classes of `StateValues` by the class of policies whose values they compute.

    A policy's own class is looked up first, then those from which it is derived. An objective with a method
    `state_values(z, q)` needs none.
    """

    def __init__(self) -> None:
        self._classes: dict[type[Distribution], type[StateValues]] = {}

    def register(self, policy: type[Distribution]) -> Callable[[_Class], _Class]:
        """Returns a decorator that registers a class of `StateValues` for a class of policies."""

        def registered(cls: _Class) -> _Class:
            self._classes[policy] = cls
            return cls

        return registered

    def offered(self, q: Distribution, f: Objective) -> bool:
        """Returns whether there are exact values of q and f."""
        found = self._of(q)
        return hasattr(f, "state_values") or (found is not None and found.fits(base(q), f))

    def __call__(self, q: Distribution, f: Objective, z: Tensor) -> Tensor:
        """Returns the exact values at the steps of draws z, `[*sample, *batch, T]`, as constants.

        Raises:
            BadInput: there are none for this policy and objective.
        """
        if hasattr(f, "state_values"):
            return f.state_values(z, q).detach()  # type: ignore[attr-defined]
        found = self._of(q)
        if found is None or not found.fits(base(q), f):
            raise BadInput(
                f"a critic needs the values of states, and there are none for {type(base(q)).__name__} with this "
                "objective; give the objective a method state_values(z, q)"
            )
        return found.at(base(q), f, z).detach()

    def _of(self, q: Distribution) -> StateValues | None:
        for cls in type(base(q)).__mro__:
            if cls in self._classes:
                return self._classes[cls]()
        return None


state_values = Registered()
"""The registry: call it with (q, f, z) for the values."""
