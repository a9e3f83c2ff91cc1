"""Control variates from the objective's own Taylor expansion: subtract a model, add the gradient of its known mean."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal

from estimators.core import Estimator, Objective, gradient_at
from estimators.registry import register
from estimators.score_function import scored
from estimators.tools.parameters import base, linear, sample, valued
from estimators.traits import Need, Traits


@register("simple_muprop")
@dataclass(frozen=True)
class SimpleMuProp(Estimator):
    """(f(z) − f(E z)) ∇θ log q(z): the baseline is f at the mean, which lies between the discrete values.

    Paper: Tucker et al. 2017 (SimpleMuProp), arXiv:1703.07370.

    >>> from torch.distributions import Bernoulli
    >>> from estimators import Function
    >>> q = Bernoulli(logits=torch.zeros(2))
    >>> SimpleMuProp().surrogate(q, Function(lambda z: 0 * z + 2), 5)
    tensor([2., 2.])
    """

    traits = Traits(
        unbiased=True, needs=frozenset({Need.DENSITY, Need.MEAN, Need.RELAXABLE}), paper="Tucker et al. 2017"
    )

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        z = sample(q, n)
        value = f.held(z, q)
        return scored(value, value - f(q.mean, q), q.log_prob(z))


@register("muprop")
@dataclass(frozen=True)
class MuProp(Estimator):
    """(f(z) − f(m) − f′(m)·(z − m)) ∇θ log q(z) + f′(m)·∇θ m at the mean m = E z.

    The model is f's first-order expansion at m, held fixed; its expectation depends on θ through the mean alone.
    Paper: Gu, Levine, Sutskever, Mnih 2016, arXiv:1511.05176, equation 3.
    Differs from the paper: one layer is expanded at its own mean, while the paper runs a mean-field pass through all
    layers and adds baselines to the remainder.

    >>> from torch.distributions import Bernoulli
    >>> from estimators import Function
    >>> q = Bernoulli(probs=torch.tensor(0.3, requires_grad=True))
    >>> MuProp().surrogate(q, Function(lambda z: 5 * z), 1).backward()  # exact on a linear f
    >>> q.probs.grad
    tensor(5.)
    """

    traits = Traits(unbiased=True, needs=frozenset({Need.DENSITY, Need.MEAN, Need.RELAXABLE}), paper="Gu et al. 2016")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        z = sample(q, n)
        value = f.held(z, q)
        at_mean, slope = gradient_at(lambda m: f(m, q), q.mean)
        model = at_mean + (flat(z - q.mean, q) * flat(slope, q)).sum(-1)
        return valued(scored(value, value - model, q.log_prob(z)), linear(slope, q.mean, q))


@register("delta_method")
@dataclass(frozen=True)
class DeltaMethod(Estimator):
    """(f(z) − h(z)) ∇θ log q(z) + ∇θ E h, h the second-order expansion of f at a Gaussian's mean μ.

    h(z) = f(μ) + f′(μ)·(z−μ) + ½ (z−μ)ᵀ H (z−μ) with μ held fixed, so ∇θ E h = f′(μ)·∇θ μ + ½ tr(H ∇θ Σ).
    Paper: Paisley, Blei, Jordan 2012, arXiv:1206.6430, section 4 (its control variate for Gaussian q).
    Differs from the paper: the control variate's coefficient is 1, while the paper estimates it.

    >>> from torch.distributions import Normal
    >>> from estimators import Function
    >>> q = Normal(torch.tensor(1.0, requires_grad=True), 2.0)
    >>> DeltaMethod().surrogate(q, Function(torch.square), 1).backward()  # exact on a quadratic f
    >>> q.loc.grad
    tensor(2.)
    """

    traits = Traits(
        unbiased=True,
        needs=frozenset({Need.DENSITY, Need.GAUSSIAN, Need.TWICE_DIFFERENTIABLE}),
        paper="Paisley, Blei, Jordan 2012",
    )

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        z = sample(q, n)
        value = f.held(z, q)
        at_mean, slope = gradient_at(lambda m: f(m, q), q.mean)
        hessian = hessian_at(q, f, q.mean.detach())
        step = flat(z - q.mean.detach(), q)
        bend = torch.einsum("...i,...ij,...j->...", step, hessian, step)
        model = at_mean + (step * flat(slope, q)).sum(-1) + bend / 2
        return valued(
            scored(value, value - model, q.log_prob(z)), linear(slope, q.mean, q) + expected_bend(hessian, q) / 2
        )


def flat(z: Tensor, q: Distribution) -> Float[Tensor, "*batch D"]:
    """Returns z with its event axes merged into one axis."""
    return z.reshape(*z.shape[: z.dim() - len(q.event_shape)], q.event_shape.numel())


def hessian_at(q: Distribution, f: Callable[[Tensor, Distribution], Tensor], m: Tensor) -> Float[Tensor, "*batch D D"]:
    """Returns ∂²f/∂z² at m `[*batch, *event]`, detached: a pullback of f′ per direction, all D of them in one call."""
    D = q.event_shape.numel()
    one = torch.eye(D, dtype=m.dtype, device=m.device)
    direction = one.reshape(D, *(1 for _ in q.batch_shape), *q.event_shape).expand(D, *m.shape)
    slope = torch.func.grad(lambda z: f(z, q).sum())
    _, pullback, *_ = torch.func.vjp(slope, m.expand(D, *m.shape))
    (rows,) = pullback(direction)
    return flat(rows, q).movedim(0, -2).detach()


def expected_bend(hessian: Float[Tensor, "*batch D D"], q: Distribution) -> Float[Tensor, "*batch"]:
    """Returns tr(H Σ), differentiable in q's covariance Σ."""
    inner = base(q)
    if isinstance(inner, MultivariateNormal):
        return linear(hessian, inner.covariance_matrix, q)
    return (hessian.diagonal(dim1=-2, dim2=-1) * flat(q.variance, q)).sum(-1)
