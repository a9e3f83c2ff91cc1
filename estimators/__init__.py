"""Stochastic gradient estimators of ∇θ E_{z~qθ}[f(z)], written as surrogates to differentiate.

Each class docstring names its paper. The formulas were derived again and are tested against exact gradients. Numbers of
equations and sections help to find the place; not all of them were checked, and they differ between editions.

>>> import estimators
>>> estimators.get("rloo")
LeaveOneOut()
"""

from typing import TYPE_CHECKING, Any

from estimators import (  # noqa: F401  (importing them registers their estimators)
    antithetic,
    arms,
    ars,
    baselines,
    boundary,
    carms,
    categorical_disarm,
    control_variates,
    coupled,
    dice,
    double_control_variate,
    downstream,
    evolution,
    exact,
    foust,
    generalised,
    importance_bounds,
    importance_paths,
    learned_baselines,
    local_expectation,
    measure_valued,
    off_policy,
    pathwise,
    pathwise_control,
    policy,
    quasi_monte_carlo,
    rebar,
    relax,
    relaxed,
    score_function,
    sets,
    sparsemax,
    stein,
    sticking_the_landing,
    stochastic_triples,
    straight_through,
    stratified,
    structured_local_expectation,
    thermodynamic,
    weak_derivative,
    without_replacement,
    zeroth_order,
)
from estimators.checks import check_estimator
from estimators.core import Estimator, Evidence, Fitted, Function, ImportanceBound, Objective, SetObjective, Terms
from estimators.errors import BadInput
from estimators.evidence_terms import EvidenceTerms
from estimators.joint import Joint, JointFunction
from estimators.needs import offers, unmet
from estimators.nested import Layer, Nested, NestedEvidence, PerVariable
from estimators.order_statistics import OrderStatistics
from estimators.registry import available, get, register
from estimators.tools.noise_of_f import one_noise
from estimators.tools.parameters import log_density
from estimators.traits import Need, Traits

if TYPE_CHECKING:
    __version__: str

__all__ = [
    "BadInput",
    "Estimator",
    "Evidence",
    "EvidenceTerms",
    "Fitted",
    "Function",
    "ImportanceBound",
    "Joint",
    "JointFunction",
    "Layer",
    "Need",
    "Nested",
    "NestedEvidence",
    "Objective",
    "OrderStatistics",
    "PerVariable",
    "SetObjective",
    "Terms",
    "Traits",
    "__version__",
    "available",
    "check_estimator",
    "get",
    "log_density",
    "offers",
    "one_noise",
    "register",
    "unmet",
]


if not TYPE_CHECKING:  # otherwise a type checker would accept every misspelt name as an attribute of the module

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from importlib.metadata import version

            return version("gradest")
        raise AttributeError(f"module 'estimators' has no attribute {name!r}")
