"""What a distribution and an objective offer, and which of an estimator's needs they do not meet."""

from torch.distributions import (
    Bernoulli,
    Beta,
    Binomial,
    Categorical,
    Cauchy,
    Dirichlet,
    Distribution,
    Exponential,
    Gamma,
    Geometric,
    Laplace,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
    OneHotCategoricalStraightThrough,
    Poisson,
    StudentT,
    Uniform,
)

from estimators.core import Estimator, Evidence, ImportanceBound, Need, Objective, Terms, Traits
from estimators.parameters import base, states

MAX_STATES = 2**16
"""Exact enumeration is refused above this many states."""

FLATTENED = (Bernoulli, OneHotCategorical, Normal, MultivariateNormal, Laplace, StudentT)
INVERTIBLE = (Bernoulli, OneHotCategorical, Normal, MultivariateNormal, Laplace, Uniform, Exponential)


def offers(q: Distribution, f: Objective) -> frozenset[Need]:
    """All that the pair (q, f) offers. A distribution may say `offers_not = {Need…}` of
    itself, and `learns = ("loc",)` where its other parameters are fixed."""
    return frozenset(_of_distribution(q) | _of_objective(f)) - frozenset(getattr(base(q), "offers_not", ()))


def _of_distribution(q: Distribution) -> set[Need]:
    inner = base(q)
    count = states(q)
    straight_through = isinstance(inner, OneHotCategoricalStraightThrough)
    found = {
        Need.DENSITY: not isinstance(inner, Uniform),
        Need.REPARAMETERISED: inner.has_rsample and not straight_through,
        Need.BINARY: isinstance(inner, Bernoulli),
        Need.CATEGORICAL: isinstance(inner, OneHotCategorical),
        Need.SINGLE_CATEGORICAL: isinstance(inner, OneHotCategorical) and q.event_shape[:-1].numel() == 1,
        Need.FINITE: isinstance(inner, Bernoulli | OneHotCategorical),
        Need.GAUSSIAN: isinstance(inner, Normal | MultivariateNormal),
        Need.GAMMA: isinstance(inner, Gamma | Beta | Dirichlet),
        Need.WEAK_DERIVATIVE: isinstance(inner, Bernoulli | Binomial | Poisson | Exponential)
        or (isinstance(inner, Gamma) and getattr(inner, "learns", None) == ("rate",)),
        Need.TRIPLE: isinstance(inner, Bernoulli | Binomial | Poisson | Geometric),
        Need.FACTORISED: not isinstance(inner, MultivariateNormal),
        Need.LOCATION: getattr(inner, "learns", None) == ("loc",),
        Need.SYMMETRIC: isinstance(inner, Normal | MultivariateNormal | Laplace | StudentT | Bernoulli),
        Need.PROPOSAL: isinstance(
            inner, Bernoulli | OneHotCategorical | Normal | MultivariateNormal | Laplace | StudentT
        ),
        Need.QUANTILE: isinstance(inner, INVERTIBLE),
        Need.ENUMERABLE: count is not None and count <= MAX_STATES,
        Need.MEAN: not isinstance(inner, Categorical | Cauchy),
        Need.MODE: True,
        Need.INDEPENDENT_DRAWS: True,
    }
    return {need for need, offered in found.items() if offered}


def _of_objective(f: Objective) -> set[Need]:
    found = {
        Need.DIFFERENTIABLE: f.differentiable,
        Need.PIECEWISE: f.differentiable or bool(f.breaks) or f.half_space is not None,
        Need.TWICE_DIFFERENTIABLE: f.twice_differentiable,
        Need.RELAXABLE: f.relaxable,
        Need.EVIDENCE: isinstance(f, Evidence),
        Need.IMPORTANCE_BOUND: isinstance(f, ImportanceBound),
        Need.TERMS: isinstance(f, Terms),
    }
    return {need for need, offered in found.items() if offered}


def unmet(estimator: Estimator, q: Distribution, f: Objective, n: int) -> str | None:
    """Why this estimator does not fit q, f and n, in a sentence to act on; None when it fits."""
    traits = estimator.traits
    missing = sorted(traits.needs - offers(q, f), key=lambda need: need.name)
    if missing:
        return f"needs {' and '.join(need.value for need in missing)}"
    if isinstance(f, ImportanceBound) and Need.IMPORTANCE_BOUND not in traits.needs:
        return "is not made for an importance-weighted bound, which takes several draws at once"
    return unmet_samples(traits, n)


def unmet_samples(traits: Traits, n: int) -> str | None:
    """Why n draws do not suit, in a sentence; None when they do."""
    if n < traits.min_samples:
        return f"needs at least {traits.min_samples} samples, not {n}"
    if n % traits.samples_step:
        return f"takes its samples in groups of {traits.samples_step}; {n} is not a multiple"
    return None
