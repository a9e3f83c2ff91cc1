"""The evidence lower bound of a Gaussian mixture's assignments on real data, with the means integrated out."""

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from bench.data.datasets import iris
from bench.distributions.base import Family
from bench.distributions.categorical import CategoricalFamily
from bench.objectives.base import Target, objectives
from estimators.core import Evidence, Objective


@objectives.register("mixture_assignments")
@dataclass(frozen=True)
class MixtureAssignments(Target):
    """log p(x, z) − log q(z), z_i the component of flower i: petals of `size` irises, `categories` components.

    x_i | z_i = k ~ N(μ_k, σ² I), μ_k ~ N(0, τ² I), z_i uniform; with n_k flowers of sum s_k in component k,

        log p(x | z) = const + Σ_k [τ² ‖s_k‖² / (2σ² (σ² + n_k τ²)) − log(1 + n_k τ²/σ²)]   (two dimensions),

    a function that couples all assignments and is defined between them. Its labels are exchangeable; only θ
    distinguishes them in q. Exact by enumeration of `categories`^`size` states.
    """

    used_by = "mixture models and clustering by stochastic variational inference (Titsias 2015; Kool 2020)"

    spread: float = 0.5
    """σ, within a component, in standard deviations of the data."""
    reach: float = 1.5
    """τ, of the components' means."""

    def fits(self, family: Family) -> str | None:
        return None if isinstance(family, CategoricalFamily) else "assigns flowers to components by a categorical"

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        x = iris(family.size).to(like)
        return Evidence(lambda z: self.log_joint(z, x))

    def log_joint(self, z: Float[Tensor, "*sample size K"], x: Float[Tensor, "size 2"]) -> Float[Tensor, "*sample"]:
        """Returns log p(x, z)."""
        variance, prior = self.spread**2, self.reach**2
        count, total = z.sum(-2), z.mT @ x
        fit = prior * total.square().sum(-1) / (2 * variance * (variance + count * prior))
        clusters = (fit - (1 + count * prior / variance).log()).sum(-1)
        alone = -x.square().sum() / (2 * variance) - len(x) * math.log(2 * math.pi * variance)
        return clusters + alone - len(x) * math.log(z.shape[-1])
