"""Learned baselines and control variates for the score function: NVIL and LAX."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.control_variates import flat
from estimators.core import Fitted, Objective
from estimators.registry import register
from estimators.tools.learned import Weights, apply, least_variance, network
from estimators.tools.parameters import parameters, sample
from estimators.traits import Need, Traits


@register("nvil")
@dataclass(frozen=True)
class Nvil(Fitted):
    """(f(z) − c_ψ(x)) ∇θ log q(z | x): the baseline is a learned function of the input x.

    c receives q's own parameters, detached: they are the encoder's output for x. Unfitted, c = 0. `normalise` adds the
    paper's variance normalisation: the signal f − c is divided by max(1, its standard deviation), which is measured
    after c is fitted, on as many fresh draws. The direction stays correct, and the scale becomes 1/max(1, deviation).
    Paper: Mnih, Gregor 2014 (NVIL), arXiv:1402.0030, section 2.3.
    Differs from the paper: c receives q's parameters in place of x and is fitted to the least variance, while the paper
    regresses it on f; the deviation is measured once, without a moving average; layer-specific signals are left out.

    >>> from torch.distributions import Bernoulli
    >>> from estimators import Function
    >>> q, f = Bernoulli(logits=torch.zeros(64)), Function(lambda z: 0 * z + 1)
    >>> _ = torch.manual_seed(0)
    >>> fitted = Nvil().fit(q, f, n=4, steps=300)  # a constant f is all baseline
    >>> bool((fitted.baseline(q) - 1).abs().max() < 0.05)
    True
    """

    normalise: bool = False

    @cached_property
    def traits(self) -> Traits:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The traits for this `normalise`: True makes the estimator biased."""
        return Traits(
            unbiased=not self.normalise,
            needs=frozenset({Need.DENSITY, Need.PARAMETERS}),
            fitted=True,
            paper="Mnih, Gregor 2014",
        )

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        return with_baseline(q, f, n, self.baseline(q), (self.state or {}).get("deviation"))

    def baseline(self, q: Distribution) -> Tensor:
        """Returns c_ψ, `[*batch]`; 0 before fitting."""
        return torch.zeros(()) if self.state is None else apply(self.state, features(q))

    def fit(self, q: Distribution, f: Objective, n: int, steps: int) -> "Nvil":
        x = features(q)
        weights = network(x.shape[-1], x)
        weights = least_variance(lambda q, w: with_baseline(q, f, n, apply(w, features(q))), q, weights, steps)
        if self.normalise and steps:
            signals = (f.held(sample(q, n), q).detach() - apply(weights, x) for _ in range(steps))
            weights["deviation"] = (
                torch.stack([signal.square().mean() for signal in signals]).mean().sqrt().clamp_min(1)
            )
        return self.frozen(weights)


def features(q: Distribution) -> Float[Tensor, "*batch features"]:
    """Returns q's parameters as one vector, detached; logits are clamped to ±20, where probabilities are 0 or 1."""
    rows = {name: value.detach().reshape(*q.batch_shape, -1) for name, value in parameters(q).items()}
    return torch.cat([row.clamp(-20, 20) if name == "logits" else row for name, row in rows.items()], -1)


def with_baseline(
    q: Distribution, f: Objective, n: int, baseline: Tensor, deviation: Tensor | None = None
) -> Float[Tensor, "*batch"]:
    """Returns the surrogate of (f − baseline) [÷ deviation] × score, differentiable in the baseline's own weights."""
    z = sample(q, n)
    value, log_q = f.held(z, q), q.log_prob(z)
    signal = value.detach() - baseline.to(value)
    if deviation is not None:
        signal = signal / deviation.to(value)
    return (value + signal * (log_q - log_q.detach())).mean(0)


@register("lax")
@dataclass(frozen=True)
class Lax(Fitted):
    """(f(z) − c_ψ(z)) ∇θ log q(z) + ∇θ c_ψ(z(θ, ε)): a learned function of z, by score and by path.

    f is only evaluated and may have jumps. z is detached in log q and in f, and moves with θ only in the last term.
    Unfitted, c = 0, which is REINFORCE.
    Paper: Grathwohl, Choi, Wu, Roeder, Duvenaud 2018 (LAX), arXiv:1711.00123, section 3.
    Differs from the paper: c is a small network with a quadratic part, learned before the draws and frozen, while the
    paper learns it during training.

    >>> from torch.distributions import Normal
    >>> from estimators import Function
    >>> q = Normal(torch.tensor(1.0, requires_grad=True), 1.0)
    >>> square = {"in": torch.zeros(1, 1), "shift": torch.zeros(1), "out": torch.zeros(1), "slope": torch.zeros(1)}
    >>> square |= {"bend": torch.ones(1), "level": torch.tensor(0.0)}
    >>> _ = torch.manual_seed(0)
    >>> Lax().frozen(square).surrogate(q, Function(torch.square), 1).backward()  # c = f: the path alone is left
    >>> _ = torch.manual_seed(0)
    >>> bool(q.loc.grad == 2 * q.sample((1,)).squeeze())
    True
    """

    traits = Traits(
        unbiased=True,
        needs=frozenset({Need.DENSITY, Need.REPARAMETERISED, Need.PARAMETERS}),
        fitted=True,
        paper="Grathwohl et al. 2018",
    )

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        return by_score_and_path(q, f, n, self.state)

    def fit(self, q: Distribution, f: Objective, n: int, steps: int) -> "Lax":
        weights = network(q.event_shape.numel(), next(iter(parameters(q).values())))
        return self.frozen(least_variance(lambda q, w: by_score_and_path(q, f, n, w), q, weights, steps))


def by_score_and_path(q: Distribution, f: Objective, n: int, weights: Weights | None) -> Float[Tensor, "*batch"]:
    """Returns LAX's surrogate, differentiable in the weights too."""
    z = q.rsample((n,))
    held = z.detach()
    value, log_q = f.held(held, q), q.log_prob(held)
    score = log_q - log_q.detach()
    if weights is None:
        return (value + value.detach() * score).mean(0)
    path = apply(weights, flat(z, q))
    return (value + (value.detach() - apply(weights, flat(held, q))) * score + path - path.detach()).mean(0)
