"""What a distribution and an objective offer, and which of an estimator's needs they do not meet."""

from collections.abc import Iterable

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
from estimators.errors import BadInput
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
    second, once for each class). `learns = ("loc",)` says that the other parameters are fixed. An objective may say
    `offers` and `offers_not` too, and a plug-in's own need may tell whether it is met. Reads the parameters' values:
    not to be called inside compiled code.
    """
    offer = Offer(q, f)
    return offer.needs | {need for need in Need.declared() if offer.meets(need)}


def _said(sides: Iterable[object], name: str = "offers") -> frozenset[Need]:
    """What these say of themselves. Raises `BadInput` where one names something that is no need."""
    each = [Need.only(getattr(side, name, ()) or (), f"{name} of {_called(side)}") for side in sides]
    return frozenset().union(*each)


def _called(side: object) -> str:
    return type(side).__name__


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

    `sides`: what else may say `offers` and `offers_not`, such as the family that built q. `needs`: all that the pair
    offers, less what only a need's own `met` tells; `reasons`: why q does not offer the others, as far as that was
    measured.
    """

    def __init__(self, q: Distribution, f: Objective, *sides: object) -> None:
        self.q, self.f = q, f
        self.reasons = refused(q) | gammas_refused(q)
        every = (base(q), f, *sides)
        own = frozenset(_of_distribution(q) - self.reasons.keys()) | _of_objective(f)
        self._withheld = _said(every, "offers_not")
        self.needs = (own | _said(every)) - self._withheld

    def meets(self, need: Need) -> bool:
        """Whether the pair offers a need: as is known, as it says, or by the need's own `met`.

        Raises `BadInput` where `met` raises.
        """
        if need in self.needs or need in self._withheld or need.met is None:
            return need in self.needs
        try:
            return bool(need.met(self))
        except Exception as error:
            raise BadInput(
                f"whether need {need.name!r} of {need.module} is met cannot be told: {type(error).__name__}: {error}"
            ) from error

    def unmet(self, estimator: Estimator, n: int) -> str | None:
        """Why an estimator does not fit at n draws, in a sentence to act on; None when it fits.

        Raises `BadInput` where its traits name something that is no need.
        """
        traits = estimator.traits
        asked = Need.only(traits.needs, f"traits.needs of {_called(estimator)}")
        missing = sorted((need for need in asked if not self.meets(need)), key=lambda need: need.name)
        if missing:
            why = "; ".join(dict.fromkeys(self.reasons[need] for need in missing if need in self.reasons))
            return f"needs {' and '.join(need.sentence for need in missing)}" + (f" ({why})" if why else "")
        if Need.IMPORTANCE_BOUND in self.needs - traits.needs:
            return "is not made for an importance-weighted bound, which takes several draws at once"
        return unmet_samples(traits, n)


def unmet(estimator: Estimator, q: Distribution, f: Objective, n: int) -> str | None:
    """Why this estimator does not fit q, f and n, in a sentence to act on; None when it fits."""
    return Offer(q, f).unmet(estimator, n)


def unmet_samples(traits: Traits, n: int) -> str | None:
    """Why n draws do not suit, in a sentence; None when they do."""
    return unsuited(traits, n)
