"""REBAR: the score function with a relaxed copy of f as its control variate."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import logsigmoid, softplus

from estimators.control_variates import flat
from estimators.core import Objective, gradient_at
from estimators.registry import register
from estimators.relaxed import Relaxed, hardened, is_bits, perturbed, softened
from estimators.tools.noise import gumbel, logistic
from estimators.tools.parameters import logits, valued
from estimators.traits import Need, Traits


def conditioned(
    q: Distribution, b: Float[Tensor, "n ..."], like: Float[Tensor, "n ..."] | None = None
) -> Float[Tensor, "n ..."]:
    """Returns perturbed logits given their hard value b, `[n, *batch, *event]`, differentiable in θ at fixed noise.

    Bits: ±softplus(logit v + softplus(±φ)), with the sign of b. One-hot variables with normalised l: the largest is a
    Gumbel G_k, the others are −log(e^{−(l_j + G_j)} + e^{−G_k}); all are returned up to a common shift, as differences
    to the largest, so that rounding cannot change the largest. softmax does not depend on the shift. With `like`,
    perturbed logits whose hard value is b, the noise is recovered from them instead of drawn: the result equals `like`
    (up to the shift), and moves with θ as given b.
    Paper: Tucker et al. 2017 (reparameterisation of p(z | b)), arXiv:1703.07370; Maddison, Tarlow, Minka 2014,
    arXiv:1411.0030.

    >>> from torch.distributions import Bernoulli
    >>> bool((conditioned(Bernoulli(logits=torch.tensor(6.0)), torch.zeros(1000)) < 0).all())
    True
    """
    phi = logits(q)
    if is_bits(q):
        sign = 2 * b - 1
        rest = softplus(sign * phi)
        noise = logistic(len(b), phi) if like is None else -from_logsigmoid(-sign * like) - rest
        return sign * softplus(noise.detach() + rest)
    rest = phi - phi.logsumexp(-1, keepdim=True)
    if like is None:
        g = gumbel(len(b), phi)
        noise = g - (b * g).sum(-1, keepdim=True)
    else:
        noise = from_logsigmoid(like - like.amax(-1, keepdim=True)) - rest
    return (1 - b) * logsigmoid(rest + noise.detach())


def from_logsigmoid(y: Tensor) -> Tensor:
    """Returns the x with logsigmoid(x) = y ≤ 0.

    >>> from_logsigmoid(logsigmoid(torch.tensor(2.0)))
    tensor(2.0000)
    """
    return y - (-torch.expm1(y)).log()


def controlled(
    q: Distribution,
    f: Objective,
    n: int,
    control: Callable[[Tensor], tuple[Tensor, Tensor]],
    coupled: bool = False,
) -> Float[Tensor, "*batch"]:
    """Returns the surrogate of (f(b) − c(z̃)) s + ∇θ c(z) − ∇θ c(z̃) over n draws.

    `control` returns c and ∂c/∂z at perturbed logits. With `coupled`, z̃ has the value of z, and c is evaluated once.
    """
    z = perturbed(q, n)
    b = hardened(z, q).detach()
    z_given_b = conditioned(q, b, z.detach() if coupled else None)
    c, slope = control((z if coupled else torch.cat([z, z_given_b])).detach())
    path = flat(slope[:n] * z - slope[-n:] * z_given_b, q).sum(-1)
    value, log_q = f.held(b, q), q.log_prob(b)
    score = (value.detach() - c[-n:]) * (log_q - log_q.detach())
    return valued((value + score).mean(0), path.mean(0))


@register("rebar")
@dataclass(frozen=True)
class Rebar(Relaxed):
    """(f(b) − η c(z̃)) s + η (∇θ c(z) − ∇θ c(z̃)) with c(z) = f(σ(z/τ)), z the perturbed logits of b, z̃ ~ q(z | b).

    θ acts through z and through z̃ (including its conditional noise). Unbiased for any fixed η and τ: E[c(z̃) s + ∇θ
    c(z̃)] = ∇θ E c(z). η = 0 is REINFORCE. `coupled` takes z̃'s noise from z instead of drawing it: one evaluation of c
    less, sometimes with more variance and sometimes with less.
    Paper: Tucker, Mnih, Maddison, Lawson, Sohl-Dickstein 2017, arXiv:1703.07370.
    Differs from the paper: z̃'s noise is drawn independently unless `coupled`, while the paper couples it with z's, and
    η and τ are settings (learned in `rebar_fitted`).

    >>> from torch.distributions import Bernoulli
    >>> from estimators import Function
    >>> logit = torch.tensor(0.0, requires_grad=True)
    >>> _ = torch.manual_seed(0)
    >>> Rebar().surrogate(Bernoulli(logits=logit), Function(lambda b: 4 * b), 100_000).backward()
    >>> abs(logit.grad.item() - 1) < 0.02
    True
    """

    traits = Traits(
        unbiased=True, needs=frozenset({Need.FINITE, Need.DENSITY, Need.RELAXABLE}), paper="Tucker et al. 2017"
    )

    eta: float = 1.0
    coupled: bool = False

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        def c(z: Tensor) -> Tensor:
            return self.eta * f(softened(z, q, self.temperature), q)

        return controlled(q, f, n, lambda z: gradient_at(c, z), self.coupled)
