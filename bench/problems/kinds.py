"""The kind of a problem, by which results are grouped: what is drawn, and what f asks of it."""

from typing import Literal

from torch.distributions import Distribution, constraints

from bench.distributions.base import Family
from estimators.core import Evidence, ImportanceBound, Objective
from estimators.policy.sequence import SequencePolicy
from estimators.tools.parameters import base

ProblemKind = Literal[
    "bits",
    "categories",
    "counts",
    "orders and sequences",
    "smooth continuous",
    "continuous with kinks or jumps",
    "bounds",
    "policies",
]


def problem_kind(family: Family, q: Distribution, f: Objective) -> ProblemKind:
    """Returns the kind of a problem, from what is drawn and what f asks of it; the first rule that holds decides.

    - *bounds*: an importance-weighted bound, or an evidence bound of continuous z;
    - *continuous with kinks or jumps*: z is continuous and f has no second derivative everywhere, or none that autograd
      knows; *smooth continuous*: any other continuous z;
    - *policies*: sequences that earn a reward;
    - *orders and sequences*: permutations, and other discrete draws whose parts depend on each other;
    - *bits*, *categories*, *counts*: independent coordinates that are 0 or 1, one-hot, or whole numbers.
    """
    bound = isinstance(f, Evidence)
    if isinstance(f, ImportanceBound) or (bound and not family.discrete):
        return "bounds"
    if not family.discrete:
        smooth = f.twice_differentiable and not f.breaks
        return "smooth continuous" if smooth else "continuous with kinks or jumps"
    if isinstance(base(q), SequencePolicy) and family.values == "other" and not bound:
        return "policies"
    return _discrete(family, q)


def _discrete(family: Family, q: Distribution) -> ProblemKind:
    if family.values == "permutation" or not family.factorised:
        return "orders and sequences"
    support = q.support
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    if support is constraints.boolean:
        return "bits"
    return "categories" if support is constraints.one_hot else "counts"
