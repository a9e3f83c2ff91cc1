"""Distribution families by name."""

from bench.distributions import (  # noqa: F401  (register their families)
    affine_flow,
    amortised,
    automaton_policy,
    bernoulli,
    bernoulli_chain,
    beta,
    black_scholes,
    bounded,
    categorical,
    counts,
    dirichlet,
    gamma,
    gamma_rate,
    latent_marginal,
    layered,
    location_scale,
    log_linear_policy,
    low_rank_normal,
    multivariate_normal,
    normal,
    normal_location,
    normal_mixture,
    plackett_luce,
    positive,
    prefix_policy,
    quadratic_map,
    spike_and_slab,
    state_values,
    tabular_policy,
    token_policy,
    transformer_policy,
)
from bench.distributions.base import Family, distributions

__all__ = ["Family", "distributions"]
