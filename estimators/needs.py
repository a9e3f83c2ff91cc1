"""What a distribution and an objective offer, and which of an estimator's needs they do not meet."""

from torch.distributions import (
    Bernoulli,
    Beta,
    Binomial,
    Dirichlet,
    Distribution,
    Exponential,
    Gamma,
    Geometric,
    Laplace,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
    Poisson,
    StudentT,
    Uniform,
)

from estimators.core import Estimator, Evidence, ImportanceBound, Objective, Terms
from estimators.tools.calls import unsuited
from estimators.tools.parameters import base, remakable, states
from estimators.tools.torch_offers import MEASURED_NEEDS, gammas_refused, kind, refused
from estimators.traits import Need, Traits

MAX_ENUMERATED_STATES = 2**16
"""Exact enumeration is refused above this many states."""

FLATTENED = (Bernoulli, OneHotCategorical, Normal, MultivariateNormal, Laplace, StudentT)
INVERTIBLE = (Bernoulli, OneHotCategorical, Normal, MultivariateNormal, Laplace, Uniform, Exponential)


def offers(q: Distribution, f: Objective) -> frozenset[Need]:
    """All that the pair (q, f) offers.

    torch's own classes offer what `torch_offers.json` says, at q's parameters and in their precision. Any other one
    says so itself, `offers = {Need…}` and `offers_not = {Need…}`, or is probed with a few thousand draws (under a
    second, once for each class). `learns = ("loc",)` says that the other parameters are fixed. Reads the parameters'
    values: not to be called inside compiled code.
    """
    return Offer(q, f).needs


def _said(q: Distribution, name: str = "offers") -> frozenset[Need]:
    """What the class of q says of itself."""
    return frozenset(getattr(base(q), name, ()))


def _of_distribution(q: Distribution) -> set[Need]:
    inner = base(q)
    known = kind(inner) or type(None)
    count, again = states(q), remakable(q)

    def of(*classes: type[Distribution]) -> bool:
        return issubclass(known, classes)

    found = {
        **dict.fromkeys(MEASURED_NEEDS, True),
        Need.BINARY: of(Bernoulli),
        Need.CATEGORICAL: of(OneHotCategorical),
        Need.SINGLE_CATEGORICAL: of(OneHotCategorical) and q.event_shape[:-1].numel() == 1,
        Need.FINITE: of(Bernoulli, OneHotCategorical),
        Need.GAUSSIAN: of(Normal, MultivariateNormal),
        Need.GAMMA: of(Gamma, Beta, Dirichlet),
        Need.WEAK_DERIVATIVE: of(Bernoulli, Binomial, Poisson, Exponential)
        or (known is Gamma and getattr(inner, "learns", None) == ("rate",)),
        Need.TRIPLE: of(Bernoulli, Binomial, Poisson, Geometric),
        Need.FACTORISED: not inner.event_shape or of(OneHotCategorical),
        Need.LOCATION: getattr(inner, "learns", None) == ("loc",),
        Need.SYMMETRIC: of(Normal, MultivariateNormal, Laplace, StudentT, Bernoulli),
        Need.PROPOSAL: of(*FLATTENED) and again,
        Need.QUANTILE: of(*INVERTIBLE),
        Need.ENUMERABLE: count is not None and count <= MAX_ENUMERATED_STATES,
        Need.INDEPENDENT_DRAWS: True,
        Need.PARAMETERS: again,
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


class Offer:
    """What the pair (q, f) offers, found once, so that many estimators can be asked whether they fit.

    `needs`: all that it offers; `reasons`: why q does not offer the others, as far as that was measured.
    """

    def __init__(self, q: Distribution, f: Objective) -> None:
        self.reasons = refused(q) | gammas_refused(q)
        own = frozenset(_of_distribution(q) - self.reasons.keys()) | _said(q)
        self.needs = own - _said(q, "offers_not") | _of_objective(f)

    def unmet(self, estimator: Estimator, n: int) -> str | None:
        """Why an estimator does not fit at n draws, in a sentence to act on; None when it fits."""
        traits = estimator.traits
        missing = sorted(traits.needs - self.needs, key=lambda need: need.name)
        if missing:
            why = "; ".join(dict.fromkeys(self.reasons[need] for need in missing if need in self.reasons))
            return f"needs {' and '.join(need.value for need in missing)}" + (f" ({why})" if why else "")
        if Need.IMPORTANCE_BOUND in self.needs - traits.needs:
            return "is not made for an importance-weighted bound, which takes several draws at once"
        return unmet_samples(traits, n)


def unmet(estimator: Estimator, q: Distribution, f: Objective, n: int) -> str | None:
    """Why this estimator does not fit q, f and n, in a sentence to act on; None when it fits."""
    return Offer(q, f).unmet(estimator, n)


def unmet_samples(traits: Traits, n: int) -> str | None:
    """Why n draws do not suit, in a sentence; None when they do."""
    return unsuited(traits, n)
