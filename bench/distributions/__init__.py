"""Distribution families by name."""

from bench.distributions import (  # noqa: F401  (register their families)
    amortised,
    bernoulli,
    beta,
    bounded,
    categorical,
    counts,
    gamma,
    layered,
    location_scale,
    multivariate_normal,
    normal,
    normal_location,
    poisson,
    positive,
    tabular_policy,
    token_policy,
)
from bench.distributions.base import Family, distributions

__all__ = ["Family", "distributions"]
