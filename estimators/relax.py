"""RELAX, and REBAR with learned settings: relaxed control variates fitted to the least variance."""

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.control_variates import flat
from estimators.core import Fitted, Objective, gradient_at, with_slope
from estimators.rebar import controlled
from estimators.registry import register
from estimators.relaxed import softened
from estimators.tools.learned import Weights, apply, least_variance, network
from estimators.tools.parameters import logits, parameters, rebuild
from estimators.traits import Need, Traits


class LearnedControl(Fitted):
    """(f(b) − c(z̃)) s + ∇θ c(z) − ∇θ c(z̃). Subclasses define c and its learned weights."""

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        weights = self.initial(q, hidden=0) if self.state is None else self.state
        return controlled(q, f, n, lambda z: gradient_at(lambda x: self.control(x, q, f, weights), z))

    def fit(self, q: Distribution, f: Objective, n: int, steps: int) -> "LearnedControl":
        at = {name: value.detach() for name, value in parameters(q).items()}

        def surrogate(moving: Distribution, weights: Weights) -> Tensor:
            def control(x: Tensor) -> Tensor:
                here = rebuild(q, at)  # rebuilt per call: torch's distributions cache values beyond their transform
                return self.control(x, here, f, weights)

            return controlled(moving, f, n, lambda z: with_slope(control, z))

        return self.frozen(least_variance(surrogate, rebuild(q, at), self.initial(q, hidden=10), steps))

    @abstractmethod
    def initial(self, q: Distribution, hidden: int) -> Weights:
        """Returns the weights before fitting; a learned network starts with `hidden` units."""

    @abstractmethod
    def control(self, z: Float[Tensor, "n ..."], q: Distribution, f: Objective, weights: Weights) -> Tensor:
        """Returns c at perturbed logits z, `[n, *batch]`."""


def relaxed_f(z: Tensor, q: Distribution, f: Objective, weights: Weights) -> Tensor:
    """Returns η f(σ(z/τ))."""
    eta, log_temperature = weights["eta"].to(z), weights["log_temperature"].to(z)
    return eta * f(softened(z, q, log_temperature.exp()), q)


def untuned(q: Distribution) -> Weights:
    """Returns the weights η = 1 and τ = ½."""
    one = logits(q).new_ones(())
    return {"eta": one, "log_temperature": (one / 2).log()}


@register("rebar_fitted")
@dataclass(frozen=True)
class FittedRebar(LearnedControl):
    """REBAR with learned η and τ: c(z) = η f(σ(z/τ)). Unfitted, η = 1 and τ = ½.

    Paper: Tucker, Mnih, Maddison, Lawson, Sohl-Dickstein 2017, arXiv:1703.07370.
    Differs from the paper: η and τ are learned before the draws and frozen, one of each for all variables, while the
    paper learns them during training.

    >>> import torch
    >>> from torch.distributions import Bernoulli
    >>> from estimators import Function
    >>> q, f = Bernoulli(logits=torch.zeros(50)), Function(lambda b: (b - 0.45) ** 2)
    >>> _ = torch.manual_seed(0)
    >>> fitted = FittedRebar().fit(q, f, n=1, steps=100)  # here η = 1 is worse than none
    >>> bool(fitted.state["eta"] < 0.5)
    True
    """

    traits = Traits(
        unbiased=True,
        needs=frozenset({Need.FINITE, Need.DENSITY, Need.RELAXABLE}),
        fitted=True,
        paper="Tucker et al. 2017",
    )

    def initial(self, q: Distribution, hidden: int) -> Weights:
        return untuned(q)

    def control(self, z: Float[Tensor, "n ..."], q: Distribution, f: Objective, weights: Weights) -> Tensor:
        return relaxed_f(z, q, f, weights)


@register("relax")
@dataclass(frozen=True)
class Relax(LearnedControl):
    """REBAR plus a learned function: c(z) = η f(σ(z/τ)) + r(σ(z)), with η, τ and the small network r learned.

    `relaxes_f = False` leaves c = r: f is then a black box, which need not be defined between the discrete values. r
    receives σ(z), or softmax(z), because perturbed logits are known up to a common shift.
    Paper: Grathwohl, Choi, Wu, Roeder, Duvenaud 2018 (RELAX), arXiv:1711.00123, section 3.
    Differs from the paper: η, τ and r are learned before the draws and frozen, while the paper learns them during
    training, and r is a network of 10 units with a quadratic part.

    >>> Relax(relaxes_f=False)
    Relax(steps=100, relaxes_f=False)
    """

    relaxes_f: bool = True

    @cached_property
    def traits(self) -> Traits:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The traits for this `relaxes_f`."""
        asks_of_f = {Need.RELAXABLE} if self.relaxes_f else set()
        needs = frozenset({Need.FINITE, Need.DENSITY} | asks_of_f)
        return Traits(unbiased=True, needs=needs, fitted=True, paper="Grathwohl et al. 2018")

    def initial(self, q: Distribution, hidden: int) -> Weights:
        learned = network(q.event_shape.numel(), logits(q), hidden)
        return learned | untuned(q) if self.relaxes_f else learned

    def control(self, z: Float[Tensor, "n ..."], q: Distribution, f: Objective, weights: Weights) -> Tensor:
        r = apply(weights, flat(softened(z, q, 1.0), q))
        return relaxed_f(z, q, f, weights) + r if self.relaxes_f else r
