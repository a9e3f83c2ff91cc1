"""Pathwise gradients of the importance-weighted bound."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Estimator, Objective, gradient_at
from estimators.importance_bounds import bound_of, log_mean
from estimators.registry import register
from estimators.tools.parameters import along, valued
from estimators.traits import Need, Traits

NEEDS = frozenset({Need.REPARAMETERISED, Need.DIFFERENTIABLE, Need.IMPORTANCE_BOUND, Need.INDEPENDENT_DRAWS})


@register("importance_pathwise")
@dataclass(frozen=True)
class ImportancePathwise(Estimator):
    """Σ_k v_k ∇θ log w_k(z_k(θ, ε), θ): the bound differentiated through its draws and through log q's own θ.

    The signal-to-noise ratio in the encoder falls as K^{−½} (Rainforth et al. 2018, arXiv:1802.04537).
    Paper: Burda, Grosse, Salakhutdinov 2016, arXiv:1509.00519, equation 14; for Rényi's bound Li, Turner 2016,
    arXiv:1602.02311.

    >>> import torch
    >>> from torch.distributions import Normal
    >>> from estimators import ImportanceBound
    >>> q = Normal(torch.tensor(0.0), 1.0)
    >>> ImportancePathwise().surrogate(q, ImportanceBound(q.log_prob, draws=4), n=2)
    tensor(0.)
    """

    traits = Traits(unbiased=True, needs=NEEDS, paper="Burda et al. 2016")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        bound = bound_of(f)
        return bound(q.rsample((n, bound.draws)), q).mean(0)


@register("doubly_reparameterised")
@dataclass(frozen=True)
class DoublyReparameterised(Estimator):
    """Σ_k [α v_k + (1−α) v_k²] (∂log w_k/∂z at fixed θ) ∂z/∂θ; on the plain bound, α = 0, the weights are v_k².

    The score inside the pathwise gradient is reparameterised a second time. v = softmax((1−α) log w).
    Paper: Tucker, Lawson, Gu, Maddison 2019 (DReG), arXiv:1810.04152; Rényi's form by the same identity.

    >>> import torch
    >>> from torch.distributions import Normal
    >>> from estimators import ImportanceBound
    >>> loc = torch.tensor(0.3, requires_grad=True)
    >>> q = Normal(loc, 1.0)
    >>> bound = ImportanceBound(Normal(0.3, 1.0).log_prob, draws=4)  # q is the posterior
    >>> DoublyReparameterised().surrogate(q, bound, n=1).backward()
    >>> abs(loc.grad.item()) < 1e-6  # without variance
    True
    """

    traits = Traits(unbiased=True, needs=NEEDS | {Need.DENSITY}, paper="Tucker et al. 2019")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        bound, alpha = bound_of(f), bound_of(f).alpha
        z = q.rsample((n, bound.draws))
        held = z.detach()
        log_w, slope = gradient_at(lambda x: bound.log_weight(x, q), held)  # (1−α) log w
        v = log_w.softmax(1)
        weight = (alpha * v + (1 - alpha) * v.square()) / (1 - alpha)
        fixed = (1 - alpha) * bound.held_weight(held, q)
        return valued(log_mean(fixed).mean(0) / (1 - alpha), (weight * along(slope, z, q)).sum(1).mean(0))
