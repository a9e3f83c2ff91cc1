"""Control variates for pathwise gradients of Gaussians: subtract the gradient of a quadratic model, add its known mean.

The model is of f without its own −log q: along a path z = μ + Lε the gradient of −log q does not depend on ε, so a
model of it would add noise. For an evidence, the control variates are therefore those of its log joint, with the
entropy in closed form.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.control_variates import expected_bend, flat, hessian_at
from estimators.core import Estimator, Fitted, Objective, gradient_at
from estimators.registry import register
from estimators.tools.parameters import along, linear, sample, valued
from estimators.traits import Need, Traits

NEEDS = frozenset({Need.GAUSSIAN, Need.REPARAMETERISED, Need.DIFFERENTIABLE})


def with_model(
    q: Distribution, f: Objective, n: int, slope: Float[Tensor, "..."], bend: Float[Tensor, "..."], *, c: float
) -> Float[Tensor, "*batch"]:
    """Returns the surrogate of ∇θ [f(z) − c m(z)] + c ∇θ E m, pathwise, where m′(z) = slope + bend (z − μ).

    slope and bend are fixed before the draw. In μ the gradient is f′(z) − c m′(z) + c m′(μ), in a diagonal σ (f′(z) − c
    m′(z))∘ε + c diag(bend) σ; with a full covariance Σ, ∇θ E m = m′(μ)·∇μ + ½ tr(bend ∇Σ). `slope` has the shape of μ,
    `bend` is `[…, D, D]`, symmetric.
    """
    z, bend = q.rsample((n,)), bend.expand(*q.batch_shape, *bend.shape[-2:])
    step = flat((z - q.mean).detach(), q)
    model = slope + torch.einsum("...i,...ij->...j", step, bend).reshape(z.shape)
    expected = linear(slope.expand(q.mean.shape), q.mean, q) + expected_bend(bend, q) / 2
    return valued(f(z, q).mean(0), c * (expected - along(model, z, q).mean(0)))


@register("taylor_pathwise")
@dataclass(frozen=True)
class TaylorPathwise(Estimator):
    """Pathwise with a control variate from f's own expansion at the mean: m′(z) = f′(μ) + f″(μ)(z − μ).

    Without variance for c = 1 on a quadratic f, and on an evidence whose log joint is quadratic: there f′ and f″ are
    those of log p(x, z).
    Paper: Miller, Foti, D'Amour, Adams 2017 (the full Hessian), arXiv:1705.07880.
    Differs from the paper: the full Hessian serves loc, scale and a full covariance; the paper's cheaper Hessians are
    left out.

    >>> from torch.distributions import Normal
    >>> from estimators import Function
    >>> scale = torch.tensor(2.0, requires_grad=True)
    >>> TaylorPathwise().surrogate(Normal(1.0, scale), Function(torch.square), 1).backward()
    >>> scale.grad
    tensor(4.)
    """

    traits = Traits(unbiased=True, needs=NEEDS | {Need.TWICE_DIFFERENTIABLE}, paper="Miller et al. 2017")

    c: float = 1.0

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        mu = q.mean.detach()
        _, slope = gradient_at(lambda m: f.without_log_q(m, q), mu)
        return with_model(q, f, n, slope, hessian_at(q, f.without_log_q, mu), c=self.c)


@register("quadratic_pathwise")
@dataclass(frozen=True)
class QuadraticPathwise(Fitted):
    """Pathwise with a fitted quadratic model: m′(z) = β + B(z − z₀), least squares on f′ at draws of q.

    z₀ is q's mean at fitting time and stays fixed. A batch of q's shares one model. Unfitted, m = 0. For an evidence,
    f′ is that of log p(x, z). Once fitted, it has no variance where `taylor_pathwise` has none.
    Paper: Geffner, Domke 2020, arXiv:2007.14634.
    Differs from the paper: β and a full B solve a regression, while in the paper β and a low-rank B descend the
    variance.

    >>> from torch.distributions import Normal
    >>> from estimators import Function
    >>> scale = torch.tensor(2.0, requires_grad=True)
    >>> q, f = Normal(1.0, scale), Function(torch.square)
    >>> QuadraticPathwise().fit(q, f, n=10, steps=10).surrogate(q, f, 1).backward()
    >>> round(scale.grad.item(), 3)
    4.0
    """

    traits = Traits(unbiased=True, needs=NEEDS, fitted=True, paper="Geffner, Domke 2020")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        if self.state is None:
            return f(q.rsample((n,)), q).mean(0)
        mu = flat(q.mean.detach(), q)
        origin, slope, bend = (self.state[name].to(mu) for name in ("origin", "slope", "bend"))
        at_mean = slope + (mu - origin) @ bend
        return with_model(q, f, n, at_mean.reshape(q.mean.shape), bend, c=1.0)

    def fit(self, q: Distribution, f: Objective, n: int, steps: int) -> "QuadraticPathwise":
        D, origin = q.event_shape.numel(), flat(q.mean.detach(), q)
        gram, cross = origin.new_zeros(D + 1, D + 1), origin.new_zeros(D + 1, D)
        for _ in range(steps):
            z = sample(q, n)
            _, slope = gradient_at(lambda x: f.without_log_q(x, q), z)
            step = (flat(z, q) - origin).reshape(-1, D)
            x = torch.cat([torch.ones_like(step[:, :1]), step], -1)
            gram, cross = gram + x.mT @ x, cross + x.mT @ flat(slope, q).reshape(-1, D)
        # lstsq rounds differently with the alignment of memory: the same seed would give several results
        solution = torch.linalg.pinv(gram, hermitian=True) @ cross
        bend = (solution[1:] + solution[1:].mT) / 2
        return self.frozen({"origin": origin, "slope": solution[0], "bend": bend})
