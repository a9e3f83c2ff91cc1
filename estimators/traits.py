"""Facts about an estimator: what it needs, and for which numbers of samples it is made."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from estimators.errors import BadInput, nearest

Met = Callable[[Any], bool]
"""Of an `estimators.needs.Offer`: whether its q and f meet a need."""


def _declaring() -> str:
    """The module that is declaring a need: the nearest caller outside this one and the shape checks of the tests."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith((__name__, "jaxtyping", "beartype")):
        frame = frame.f_back
    return frame.f_globals.get("__name__", "")


class NoSuchNeed(BadInput, AttributeError):
    """A name that no need has, or something else where a need is expected."""


class _Names(type):
    """Answers a mistyped `Need.NAME` with the nearest name. A type checker knows the names anyway."""

    if not TYPE_CHECKING:

        def __getattr__(cls, name: str) -> None:
            raise NoSuchNeed(cls._absent(name))


class _BuiltIn:
    """A need of gradest itself. Its name is that of the attribute that holds it."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence

    def __set_name__(self, owner: type["Need"], name: str) -> None:
        self.need = owner(name, self.sentence)
        self.need.module = __name__

    def __get__(self, instance: object, owner: type["Need"]) -> "Need":
        return self.need


class Need(metaclass=_Names):
    """What an estimator asks of a distribution and an objective: a name, and a sentence that completes "it needs …".

    A plug-in declares its own: `AUDITED = Need("AUDITED", "draws that were audited")`. Whoever says so offers it, a
    distribution or an objective with `offers = {AUDITED}`; or `met`, a function of the
    offer (`offer.q`, `offer.f`, `offer.needs`), tells whether they do. `cases` returns problems that offer it
    (`estimators.checks.cases.Case`), on which `gradest check` tries estimators that need it.

    Needs of one name are equal; each process that reads a pickled one must have declared it.
    Raises `BadInput` where the name is taken by another module's need, or is not in capitals.

    >>> Need.DENSITY.sentence
    'a tractable log-density, differentiable in θ, on a support that does not move with θ'
    >>> Need.DENSTY
    Traceback (most recent call last):
    estimators.traits.NoSuchNeed: there is no need 'DENSTY'; did you mean 'DENSITY'?
    """

    DENSITY = _BuiltIn("a tractable log-density, differentiable in θ, on a support that does not move with θ")
    REPARAMETERISED = _BuiltIn("draws z = g(ε, θ) that are differentiable in θ")
    DIFFERENTIABLE = _BuiltIn("an objective that is differentiable in z where q puts its mass")
    PIECEWISE = _BuiltIn("an objective that is differentiable but for declared breaks")
    TWICE_DIFFERENTIABLE = _BuiltIn("an objective with a second derivative in z")
    RELAXABLE = _BuiltIn("an objective that is defined and differentiable between the discrete values")
    BINARY = _BuiltIn("Bernoulli variables")
    CATEGORICAL = _BuiltIn("one-hot categorical variables")
    SINGLE_CATEGORICAL = _BuiltIn("one single categorical variable")
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
    EVIDENCE = _BuiltIn("an evidence objective, log p(x, z) − log q(z)")
    IMPORTANCE_BOUND = _BuiltIn("an importance-weighted bound")
    PARAMETERS = _BuiltIn("a distribution that its named parameters make again")
    CONTEXT = _BuiltIn("the context that q was computed from")
    TERMS = _BuiltIn("an objective given as terms, with the variables that each depends on")
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
            raise BadInput(f"a need has a name in capitals and a sentence, as in Need('AUDITED', '…'); found {name!r}")
        other = self._declared.get(name)
        if other and other.module != self.module and (other.sentence, other.met) != (sentence, met):
            raise BadInput(
                f"need {name!r} is declared twice: by {other.module} ({other.sentence}) and by {self.module} "
                f"({sentence}); rename one of them"
            )
        self._declared[name] = self

    @property
    def built_in(self) -> bool:
        """Whether it is one of gradest's own."""
        return self.module == __name__

    @classmethod
    def named(cls, name: str) -> "Need":
        """The need of that name, gradest's own or a plug-in's. Raises `BadInput` with the nearest name."""
        if name not in cls._declared:
            raise NoSuchNeed(cls._absent(name))
        return cls._declared[name]

    @classmethod
    def declared(cls) -> list["Need"]:
        """All needs, gradest's own and those of the plug-ins that are loaded, by name."""
        return [cls._declared[name] for name in sorted(cls._declared)]

    @classmethod
    def only(cls, values: Any, whose: str) -> frozenset["Need"]:
        """`values`, if all of them are needs; raises `BadInput` with the nearest name for one that is not."""
        if isinstance(values, Need | str):
            raise NoSuchNeed(f"{whose} is a set of needs such as {{Need.DENSITY}}, not {values!r}")
        for value in values:
            if not isinstance(value, cls):
                close = nearest(str(value).upper(), cls._declared)
                raise NoSuchNeed(f"{whose} holds {value!r}, which is no need such as Need.DENSITY; {close}")
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
        return Need.named, (self.name,)


@dataclass(frozen=True)
class Traits:
    """Facts about an estimator that the harness and the tests both read.

    `samples_step`: n must be a multiple of it (2 where draws come in pairs).
    `valued`: the surrogate's value estimates E f.
    `ends`: right in a bit's probability of exactly 0 or 1 as well, where that is itself a parameter.
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
