"""Straight-through estimators: hard draws forwards, the mean's derivative backwards."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Estimator, Need, Objective, Traits
from estimators.parameters import valued
from estimators.registry import register


@register("straight_through")
@dataclass(frozen=True)
class StraightThrough(Estimator):
    """J(p) f′(z) with z ~ q hard: f sees the draw, the gradient passes to the mean p as if z were p.

    For bits J(p) = p(1−p), for one-hot variables J(p)v = p∘v − p⟨p,v⟩. Biased: on a bit and (b − t)² by
    p(1−p)(2p − 1).
    Paper: Bengio, Léonard, Courville 2013, section 3.

    >>> import torch
    >>> from torch.distributions import Bernoulli
    >>> from estimators import Function
    >>> probs = torch.tensor(0.3, requires_grad=True)
    >>> StraightThrough().surrogate(Bernoulli(probs), Function(lambda b: 5 * b), 1).backward()
    >>> probs.grad  # exact on a linear f
    tensor(5.)
    """

    traits = Traits(unbiased=False, needs=frozenset({Need.FINITE, Need.RELAXABLE}), paper="Bengio et al. 2013")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        return f(valued(q.sample((n,)), q.mean), q).mean(0)
