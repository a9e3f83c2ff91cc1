"""Stochastic gradient estimators for ∇θ E_{z~qθ}[f(z)], as surrogates to differentiate.

>>> import estimators
>>> estimators.get("rloo")
LeaveOneOut()
"""

from estimators import score_function  # noqa: F401  (registers its estimators)
from estimators.core import Estimator, Evidence, Fitted, Function, Need, Objective, Traits
from estimators.errors import BadInput
from estimators.needs import offers, unmet
from estimators.registry import available, get, register

__all__ = [
    "BadInput",
    "Estimator",
    "Evidence",
    "Fitted",
    "Function",
    "Need",
    "Objective",
    "Traits",
    "available",
    "get",
    "offers",
    "register",
    "unmet",
]
