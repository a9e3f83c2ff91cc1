"""Facts about an estimator: what it needs, and for which numbers of samples it is made."""

from dataclasses import dataclass
from enum import Enum


class Need(Enum):
    """What an estimator asks of a distribution and an objective; the value says it in words."""

    DENSITY = "a tractable log-density, differentiable in θ, on a support that does not move with θ"
    REPARAMETERISED = "draws z = g(ε, θ) that are differentiable in θ"
    DIFFERENTIABLE = "an objective that is differentiable in z where q puts its mass"
    PIECEWISE = "an objective that is differentiable but for declared breaks"
    TWICE_DIFFERENTIABLE = "an objective with a second derivative in z"
    RELAXABLE = "an objective that is defined and differentiable between the discrete values"
    BINARY = "Bernoulli variables"
    CATEGORICAL = "one-hot categorical variables"
    SINGLE_CATEGORICAL = "one single categorical variable"
    FINITE = "Bernoulli or one-hot categorical variables"
    GAUSSIAN = "a Normal distribution"
    GAMMA = "a Gamma, Beta or Dirichlet distribution"
    WEAK_DERIVATIVE = "Bernoulli, Binomial, Poisson or Exponential variables, or Gammas whose rate alone is learned"
    TRIPLE = "Bernoulli, Binomial, Poisson or Geometric variables"
    FACTORISED = "independent coordinates"
    LOCATION = "a location family whose location alone is learned"
    SYMMETRIC = "draws that can be mirrored: a symmetric location family, or bits"
    QUANTILE = "draws by an inverse CDF: Gaussians, Laplace, Uniform, Exponential, bits or categoricals"
    ENUMERABLE = "a support small enough to enumerate"
    MEAN = "a known mean"
    MODE = "a known mode"
    INDEPENDENT_DRAWS = "independent draws"
    EVIDENCE = "an evidence objective, log p(x, z) − log q(z)"
    IMPORTANCE_BOUND = "an importance-weighted bound"
    PARAMETERS = "a distribution that its named parameters make again"
    CONTEXT = "the context that q was computed from"
    TERMS = "an objective given as terms, with the variables that each depends on"
    PROPOSAL = "a q that can be widened to draw from: bits, categoricals, or a location-scale family"


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
