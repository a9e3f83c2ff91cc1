"""Distribution families by name."""

from bench.distributions import (  # noqa: F401  (register their families)
    amortised,
    bernoulli,
    beta,
    categorical,
    gamma,
    multivariate_normal,
    normal,
    poisson,
    tabular_policy,
    token_policy,
)
from bench.distributions.base import Family, distributions

__all__ = ["Family", "distributions"]
