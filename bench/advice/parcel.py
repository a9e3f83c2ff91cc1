"""An estimator that travels between processes; its class may be known in the worker alone (a plug-in's)."""

import pickle
from dataclasses import dataclass, field

import cloudpickle

from bench.advice.printed_code import in_code, name_with_settings
from estimators.core import Estimator, Fitted


@dataclass(frozen=True)
class Parcel:
    """An estimator as bytes, and what is asked of it without opening them.

    `code`: how to make it. `fit_steps`: how long it is fitted before its use, or None where there is nothing to fit.
    """

    name: str
    code: str
    unbiased: bool
    exact: bool
    fit_steps: int | None
    packed: bytes = field(repr=False)

    @classmethod
    def of(cls, estimator: Estimator) -> "Parcel":
        traits = estimator.traits
        steps = estimator.steps if isinstance(estimator, Fitted) else None
        packed = cloudpickle.dumps(estimator)
        return cls(name_with_settings(estimator), in_code(estimator), traits.unbiased, traits.exact, steps, packed)

    def open(self) -> Estimator:
        """The estimator."""
        return pickle.loads(self.packed)
