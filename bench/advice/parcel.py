"""An estimator that is sent between processes; its class may be known only in the worker (a plug-in)."""

import pickle
from dataclasses import dataclass, field

import cloudpickle

from bench.advice.printed_code import in_code, name_with_settings
from estimators.core import Estimator, Fitted
from estimators.needs import needs_of
from estimators.traits import Need

BY_SLOPES = frozenset({Need.DIFFERENTIABLE, Need.TWICE_DIFFERENTIABLE})


@dataclass(frozen=True)
class Parcel:
    """An estimator as bytes, with the facts that are needed without unpickling it.

    `code`: how to make it. `fit_steps`: how long it is fitted before its use, or None where there is nothing to fit.
    `by_slopes`: whether it follows f's slopes in z, which a jump of f does not show in.
    """

    name: str
    code: str
    unbiased: bool
    exact: bool
    fit_steps: int | None
    by_slopes: bool
    packed: bytes = field(repr=False)

    @classmethod
    def of(cls, estimator: Estimator) -> "Parcel":
        traits = estimator.traits
        steps = estimator.steps if isinstance(estimator, Fitted) else None
        packed = cloudpickle.dumps(estimator)
        slopes = bool(BY_SLOPES & needs_of(estimator))
        name, code = name_with_settings(estimator), in_code(estimator)
        return cls(name, code, traits.unbiased, traits.exact, steps, slopes, packed)

    def open(self) -> Estimator:
        """The estimator."""
        return pickle.loads(self.packed)
