"""Which needs a distribution and an objective meet, and which needs of an estimator remain unmet."""

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

from estimators.core import Estimator, Evidence, ImportanceBound, Objective, SetObjective, Terms
from estimators.errors import BadInput
from estimators.order_statistics import OrderStatistics
from estimators.tools.calls import unsuited
from estimators.tools.parameters import base, remakable, states
from estimators.tools.steps_checks import steps_offered, steps_refused
from estimators.tools.torch_offers import MEASURED_NEEDS, gammas_refused, kind, refused
from estimators.traits import Need, Traits

MAX_ENUMERATED_STATES = 2**16
"""Largest number of states for exact enumeration."""

NONLINEAR = frozenset({"grpo", "off_policy_clipped", "rank_evolution_strategy"})
"""Estimators that divide f's values by their deviation, clip them or rank them: noise in f changes their mean.

All others multiply each value, and each slope, of f by a factor that does not depend on its noise. Baselines come from
other draws (`rloo`), couplings take differences (`disarm`, `arsm`), control variates add and subtract the same model
(`muprop`, `rebar`): the mean of such a sum of products depends on the mean of the noise alone, which is 0.
"""

OF_SETS = frozenset({Need.SETS, Need.IMPORTANCE_BOUND, Need.ORDER_STATISTICS})
"""Needs that an objective of several draws at once meets."""

FLATTENED = (Bernoulli, OneHotCategorical, Normal, MultivariateNormal, Laplace, StudentT)
INVERTIBLE = (Bernoulli, OneHotCategorical, Normal, MultivariateNormal, Laplace, Uniform, Exponential)


def offers(q: Distribution, f: Objective) -> frozenset[Need]:
    """Returns all needs that the pair (q, f) meets.

    torch's own classes meet the needs listed in `torch_offers.json`, at q's parameters and in their precision. Any
    other class declares them itself with `offers = {Need…}` and `offers_not = {Need…}`, or is probed with a few
    thousand draws (under a second, once per class). `learns = ("loc",)` declares that the other parameters are fixed.
    An objective may declare `offers` and `offers_not` too, and a plug-in's own need may decide whether it is met. Reads
    the values of the parameters, so it cannot be called inside compiled code.
    """
    offer = Offer(q, f)
    return offer.needs | {need for need in Need.declared() if offer.meets(need)}


def _said(sides: Iterable[object], name: str = "offers") -> frozenset[Need]:
    """Returns the needs that `sides` declare in the attribute `name`. Raises `BadInput` if an entry is not a need."""
    each = [Need.only(getattr(side, name, ()) or (), f"{name} of {_called(side)}") for side in sides]
    return frozenset().union(*each)


def _called(side: object) -> str:
    return type(side).__name__


def _of_distribution(q: Distribution) -> set[Need]:
    inner = base(q)
    known = kind(inner) or type(None)
    count, again = states(q), remakable(q)
    coordinates = not inner.event_shape or issubclass(known, OneHotCategorical)

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
        Need.FACTORISED: coordinates,
        Need.STEPS: coordinates,
        Need.OTHER_VALUES: of(Bernoulli, OneHotCategorical),
        **dict.fromkeys(steps_offered(q), True),
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
        Need.SETS: isinstance(f, SetObjective),
        Need.ORDER_STATISTICS: isinstance(f, OrderStatistics),
        Need.TERMS: isinstance(f, Terms),
        Need.DETERMINISTIC: not f.noisy,
    }
    return {need for need, offered in found.items() if offered}


def needs_of(estimator: Estimator) -> frozenset[Need]:
    """Returns the needs of an estimator: those of its traits, and `Need.DETERMINISTIC` where noise in f changes it.

    That is an estimator whose mean is not linear in f's values (`NONLINEAR`, every objective of sets), one
    around such an `inner`, and an exact sum, which would no longer be exact. A plug-in names the need in its traits.
    Raises `BadInput` if the traits contain something that is not a need.
    """
    asked = Need.only(estimator.traits.needs, f"traits.needs of {_called(estimator)}")
    inner = getattr(estimator, "inner", None)
    spoilt = estimator.traits.exact or bool(OF_SETS & asked) or getattr(estimator, "name", "") in NONLINEAR
    around = isinstance(inner, Estimator) and Need.DETERMINISTIC in needs_of(inner)
    return asked | {Need.DETERMINISTIC} if spoilt or around else asked


class Offer:
    """The needs that the pair (q, f) meets, computed once, so that many estimators can be checked against it.

    Args:
        q: the distribution.
        f: the objective.
        sides: other objects that may declare `offers` and `offers_not`, such as the family that built q.

    Attributes:
        needs: all needs that the pair meets, except those that only a need's own `met` decides.
        reasons: why q does not meet the others, as far as that was measured.
    """

    def __init__(self, q: Distribution, f: Objective, *sides: object) -> None:
        self.q, self.f = q, f
        self.reasons = refused(q) | gammas_refused(q) | steps_refused(q)
        every = (base(q), f, *sides)
        own = frozenset(_of_distribution(q) - self.reasons.keys()) | _of_objective(f)
        self._withheld = _said(every, "offers_not")
        self.needs = (own | _said(every)) - self._withheld

    def meets(self, need: Need) -> bool:
        """Returns whether the pair meets a need: by its class, by declaration, or by the need's own `met`.

        Raises `BadInput` if `met` raises.
        """
        if need in self.needs or need in self._withheld or need.met is None:
            return need in self.needs
        try:
            return bool(need.met(self))
        except Exception as error:
            raise BadInput(
                f"need {need.name!r} of {need.module}: its function met raises {type(error).__name__}: {error}"
            ) from error

    def unmet(self, estimator: Estimator, n: int) -> str | None:
        """Returns why an estimator does not fit at n draws, in a sentence to act on, or None if it fits.

        Raises `BadInput` if the estimator's traits contain something that is not a need.
        """
        traits = estimator.traits
        asked = needs_of(estimator)
        missing = sorted((need for need in asked if not self.meets(need)), key=lambda need: need.name)
        if missing:
            why = "; ".join(dict.fromkeys(self.reasons[need] for need in missing if need in self.reasons))
            return f"needs {' and '.join(need.sentence for need in missing)}" + (f" ({why})" if why else "")
        if self.needs & OF_SETS and not asked & OF_SETS:
            sets = "importance-weighted bound" if Need.IMPORTANCE_BOUND in self.needs else "objective of sets"
            return f"does not accept an {sets}, which takes several draws at once"
        return unmet_samples(traits, n)


def unmet(estimator: Estimator, q: Distribution, f: Objective, n: int) -> str | None:
    """Returns why this estimator does not fit q, f and n, in a sentence to act on, or None if it fits."""
    return Offer(q, f).unmet(estimator, n)


def unmet_samples(traits: Traits, n: int) -> str | None:
    """Returns why n draws do not suit, in a sentence, or None if they do."""
    return unsuited(traits, n)
