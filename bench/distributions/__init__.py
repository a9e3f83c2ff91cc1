"""Distribution families by name."""

from bench.distributions import amortised, bernoulli, normal, token_policy  # noqa: F401  (register their families)
from bench.distributions.base import Family, distributions

__all__ = ["Family", "distributions"]
