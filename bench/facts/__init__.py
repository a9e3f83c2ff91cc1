"""The facts that gradest stands on, and the verb that reproduces them."""

from bench.facts import biased_bits, bounds, families, gaussian, one_bit, options, several_bits  # noqa: F401  (they register their facts)
from bench.facts.fact import FACTS, GROUPS, Check, Fact, Picture

__all__ = ["FACTS", "GROUPS", "Check", "Fact", "Picture"]
