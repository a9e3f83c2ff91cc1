"""Traits of an estimator: what it needs, and which numbers of samples it accepts."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from estimators.errors import BadInput, nearest

Met = Callable[[Any], bool]
"""A function of an `estimators.needs.Offer` that returns whether its q and f meet a need."""


def _declaring() -> str:
    """Returns the module that declares a need: the nearest caller outside this module and the tests' shape checks."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith((__name__, "jaxtyping", "beartype")):
        frame = frame.f_back
    return frame.f_globals.get("__name__", "")


class NoSuchNeed(BadInput, AttributeError):
    """An unknown name of a need, or another object where a need is expected."""


class _Names(type):
    """Answers a mistyped `Need.NAME` with the nearest name; a type checker knows the names already."""

    if not TYPE_CHECKING:

        def __getattr__(cls, name: str) -> None:
            raise NoSuchNeed(cls._absent(name))


class _BuiltIn:
    """A built-in need of gradest, named by the attribute that holds it."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence

    def __set_name__(self, owner: type["Need"], name: str) -> None:
        self.need = owner(name, self.sentence)
        self.need.module = __name__

    def __get__(self, instance: object, owner: type["Need"]) -> "Need":
        return self.need


class Need(metaclass=_Names):
    """A requirement of an estimator on q or f: a name, and a sentence that completes "it needs …".

    A plug-in declares its own need: `AUDITED = Need("AUDITED", "draws that were audited")`. Needs with equal names are
    equal; each process that reads a pickled need must have declared it.

    Args:
        name: in capitals.
        sentence: the requirement in words.
        met: a function of the offer (`offer.q`, `offer.f`, `offer.needs`) that returns whether the need is met.
            Default: only a distribution or an objective with `offers = {AUDITED}` meets it.
        cases: returns problems (`estimators.checks.cases.Case`) that meet the need, for `gradest check`.

    Raises:
        BadInput: the name is not in capitals, or a need of another module has it.

    >>> Need.DENSITY.sentence
    'a tractable log-density, differentiable in θ, on a support that does not move with θ'
    >>> Need.DENSTY
    Traceback (most recent call last):
    estimators.traits.NoSuchNeed: there is no need 'DENSTY'; did you mean 'DENSITY'?
    """

    DENSITY = _BuiltIn("a tractable log-density, differentiable in θ, on a support that does not move with θ")
    REPARAMETERISED = _BuiltIn("draws z = g(ε, θ) that are differentiable in θ")
    DIFFERENTIABLE = _BuiltIn("an objective that is differentiable in z wherever q has mass")
    PIECEWISE = _BuiltIn("an objective that is differentiable except at declared breaks")
    TWICE_DIFFERENTIABLE = _BuiltIn("an objective with a second derivative in z")
    RELAXABLE = _BuiltIn("an objective that is defined and differentiable between the discrete values")
    BINARY = _BuiltIn("Bernoulli variables")
    CATEGORICAL = _BuiltIn("one-hot categorical variables")
    SINGLE_CATEGORICAL = _BuiltIn("a single categorical variable")
    FINITE = _BuiltIn("Bernoulli or one-hot categorical variables")
    GAUSSIAN = _BuiltIn("a Normal distribution")
    GAMMA = _BuiltIn("a Gamma, Beta or Dirichlet distribution")
    WEAK_DERIVATIVE = _BuiltIn(
        "Bernoulli, Binomial, Poisson or Exponential variables, or Gammas whose rate alone is learned"
    )
    TRIPLE = _BuiltIn("Bernoulli, Binomial, Poisson or Geometric variables")
    FACTORISED = _BuiltIn("independent coordinates")
    LOCATION = _BuiltIn("a location family whose location alone is learned")
    SYMMETRIC = _BuiltIn("draws that can be mirrored: a symmetric location family, or bits")
    QUANTILE = _BuiltIn("draws by an inverse CDF: Gaussians, Laplace, Uniform, Exponential, bits or categoricals")
    ENUMERABLE = _BuiltIn("a support small enough to enumerate")
    MEAN = _BuiltIn("a known mean")
    MODE = _BuiltIn("a known mode")
    INDEPENDENT_DRAWS = _BuiltIn("independent draws")
    DETERMINISTIC = _BuiltIn("an objective without noise, which gives the same value when it is evaluated again")
    EVIDENCE = _BuiltIn("an evidence objective, log p(x, z) − log q(z)")
    IMPORTANCE_BOUND = _BuiltIn("an importance-weighted bound")
    SETS = _BuiltIn("an objective of several draws at once")
    ORDER_STATISTICS = _BuiltIn("an objective that weighs the sorted rewards of several draws")
    PARAMETERS = _BuiltIn("a distribution that can be rebuilt from its named parameters")
    CONTEXT = _BuiltIn("the context that q was computed from")
    TERMS = _BuiltIn("an objective given as terms, with the variables that each depends on")
    STEPS = _BuiltIn("a log-density for each variable: independent coordinates, or a method log_prob_steps")
    OTHER_VALUES = _BuiltIn(
        "variables with few known values: bits, one-hot rows (a support that says so), or a method other_values"
    )
    PROPOSAL = _BuiltIn("a q that can be widened to draw from: bits, categoricals, or a location-scale family")

    _declared: ClassVar[dict[str, "Need"]] = {}

    def __init__(
        self,
        name: str,
        sentence: str,
        *,
        met: Met | None = None,
        cases: Callable[[], Iterable[Any]] | None = None,
    ) -> None:
        self.name, self.sentence, self.met, self.cases = name, sentence, met, cases
        self.module = _declaring()
        if not (name.isidentifier() and name.isupper() and sentence):
            raise BadInput(f"a need must have a name in capitals and a sentence: Need('AUDITED', '…'); found {name!r}")
        other = self._declared.get(name)
        if other and other.module != self.module and (other.sentence, other.met) != (sentence, met):
            raise BadInput(
                f"need {name!r} is declared twice: by {other.module} ({other.sentence}) and by {self.module} "
                f"({sentence}); rename one of them"
            )
        self._declared[name] = self

    @property
    def built_in(self) -> bool:
        """Whether the need is one of gradest's own."""
        return self.module == __name__

    @classmethod
    def named(cls, name: str) -> "Need":
        """Returns the need of that name, gradest's own or a plug-in's. Raises `BadInput` with the nearest name."""
        if name not in cls._declared:
            raise NoSuchNeed(cls._absent(name))
        return cls._declared[name]

    @classmethod
    def declared(cls) -> list["Need"]:
        """Returns all needs, gradest's own and those of the loaded plug-ins, sorted by name."""
        return [cls._declared[name] for name in sorted(cls._declared)]

    @classmethod
    def only(cls, values: Any, whose: str) -> frozenset["Need"]:
        """Returns `values` as a set if all of them are needs. Otherwise raises `BadInput` with the nearest name."""
        if isinstance(values, Need | str):
            raise NoSuchNeed(f"{whose} must be a set of needs such as {{Need.DENSITY}}, found {values!r}")
        for value in values:
            if not isinstance(value, cls):
                close = nearest(str(value).upper(), cls._declared)
                raise NoSuchNeed(f"{whose} contains {value!r}, which is not a need such as Need.DENSITY; {close}")
        return frozenset(values)

    @classmethod
    def _absent(cls, name: str) -> str:
        return f"there is no need {name!r}; {nearest(name.upper(), cls._declared)}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Need) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Need.{self.name}" if self.built_in else f"Need.named({self.name!r})"

    def __reduce__(self) -> tuple[Callable[[str], "Need"], tuple[str]]:
        return unpickled_need, (self.name,)


def unpickled_need(name: str) -> Need:
    """Returns `Need.named(name)`: pickle and cloudpickle find a function of a module by its name."""
    return Need.named(name)


@dataclass(frozen=True)
class Traits:
    """Properties of an estimator that the harness and the tests both read.

    Attributes:
        unbiased: the mean of the estimate is the exact gradient.
        needs: requirements on q and f.
        min_samples: smallest n.
        samples_step: n must be a multiple of it (2 where draws come in pairs).
        exact: there is no sampling noise.
        fitted: the estimator has a `fit` method.
        valued: the surrogate's value estimates E f.
        ends: correct also where a bit's probability is itself the parameter and is exactly 0 or 1.
        paper: short citation.
    """

    unbiased: bool
    needs: frozenset[Need] = frozenset()
    min_samples: int = 1
    samples_step: int = 1
    exact: bool = False
    fitted: bool = False
    valued: bool = True
    ends: bool = False
    paper: str = ""
