"""The kinds of problems in their order, and the kind of each row of a table, also of tables without that column."""

# pyright: reportReturnType=false, reportArgumentType=false, reportAttributeAccessIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import pandas as pd

PROBLEM_KINDS = (
    "bits",
    "categories",
    "counts",
    "orders and sequences",
    "smooth continuous",
    "continuous with kinks or jumps",
    "bounds",
    "policies",
)
"""The kinds that `bench.problems.kinds.problem_kind` gives, in the order in which they are shown."""
OTHER = "other"
"""Stands for an unknown kind where problems are grouped: plug-ins in a table of schema 1 to 3."""

_OF_DRAWS = {
    "bits": "bernoulli bernoulli_encoder",
    "categories": "categorical categorical_encoder",
    "counts": "binomial geometric negative_binomial poisson",
    "orders and sequences": "bernoulli_chain layered_encoder plackett_luce",
    "policies": "automaton_policy prefix_policy tabular_policy token_policy transformer_policy",
    "smooth continuous": "affine_flow beta black_scholes black_scholes_path cauchy dirichlet exponential gamma "
    "gamma_rate gumbel kumaraswamy laplace latent_joint latent_marginal log_normal logistic low_rank_normal "
    "multivariate_normal normal normal_encoder normal_location normal_mixture quadratic_map spike_and_slab student_t "
    "truncated_normal uniform von_mises weibull",
}
_BOUNDS = "digits_vae digits_vae_weights linear_regression logistic_regression"
_KINKED = (
    "absolute argmax asian_call basket_call black_box box digital_call european_call max_of_draws newsvendor "
    "queue_wait step tail_of_draws"
)
_DRAWN = {name: kind for kind, names in _OF_DRAWS.items() for name in names.split()}


def kind_by_names(distribution: str, objective: str) -> str:
    """Returns the kind of a problem that a table of schema 1 to 3 can hold, by its names; `OTHER` for a plug-in.

    >>> kind_by_names("normal", "step"), kind_by_names("bernoulli", "importance_bound"), kind_by_names("mine", "step")
    ('continuous with kinks or jumps', 'bounds', 'other')
    """
    drawn = _DRAWN.get(distribution, OTHER)
    if objective == "importance_bound" and drawn != OTHER:
        return "bounds"
    if drawn == "smooth continuous":
        if objective in _BOUNDS.split():
            return "bounds"
        return "continuous with kinks or jumps" if objective in _KINKED.split() else drawn
    return drawn


def kinds_of_rows(rows: pd.DataFrame) -> pd.Series:
    """Returns the kind of each row: its column `kind`, or where that is empty, the kind by names."""
    said = rows["kind"].astype(object).fillna("") if "kind" in rows else pd.Series("", rows.index, dtype=object)
    unsaid = rows.loc[said == "", ["distribution", "objective"]].astype(str)
    known = {pair: kind_by_names(*pair) for pair in unsaid.drop_duplicates().itertuples(index=False, name=None)}
    said[unsaid.index] = [known[pair] for pair in unsaid.itertuples(index=False, name=None)]
    return said


def in_order(kinds: pd.Series) -> list[str]:
    """Returns the distinct kinds, in the order of `PROBLEM_KINDS`, then others."""
    found = list(dict.fromkeys(kinds.astype(str)))
    return [each for each in PROBLEM_KINDS if each in found] + [each for each in found if each not in PROBLEM_KINDS]
