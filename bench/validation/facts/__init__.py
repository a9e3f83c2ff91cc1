"""Known facts about gradient estimators, and the verb that reproduces them."""

from bench.validation.facts import (  # noqa: F401  (they register their facts)
    biased_bits,
    bounds,
    course,
    course_models,
    families,
    gaussian,
    language_entropy,
    language_groups,
    language_kl,
    language_lengths,
    language_limits,
    language_ratios,
    language_sets,
    one_bit,
    options,
    real_data,
    several_bits,
    training,
    training_published,
)
from bench.validation.facts.fact import FACT_GROUPS, FACTS, Check, Fact, Picture

__all__ = ["FACTS", "FACT_GROUPS", "Check", "Fact", "Picture"]
