"""Discrete Stein operators: functions A h with E_q[A h] = 0, from the neighbours of a draw."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.control_variates import flat
from estimators.core import Fitted, Objective, held_gradient_at
from estimators.double_control_variate import leave_out
from estimators.errors import BadInput
from estimators.registry import register
from estimators.tools.learned import Weights, apply, least_variance, network
from estimators.tools.parameters import linear, logits, sample, valued
from estimators.traits import Need, Traits


@register("rodeo")
@dataclass(frozen=True)
class Rodeo(Fitted):
    """1/K Σ_k [(f_k − mean_{j≠k}(f_j + α (A h_j)(x_j))) s_k + β (A h̃_k)(x_k)], leave-one-out with Stein terms.

    h_k(y) = mean_{j≠k} H(f_j, f′_j·(y − x_j)) predicts f(y) from the other draws: f is never evaluated at neighbours.
    h̃_k = h_k ∇θ log q. H(f, u) = f + u + a small learned network; α, β and the network are fitted. Unfitted, α = β =
    0.
    (A h)(x) = Σ_i w_i(x) (h(x^i) − h(x)), x^i with bit i flipped. Barker: w_i = q(x^i)/(q(x) + q(x^i)); MPF:
    √(q(x^i)/q(x)). For independent bits the Gibbs operator is Barker's over D, which α and β absorb. Raises `BadInput`
    for an unknown `operator`.
    Paper: Shi, Zhou, Hwang, Titsias, Mackey 2022, arXiv:2202.09497.
    Differs from the paper: h is f's own first-order expansion plus a small learned network, while the paper's h is a
    network alone, and all parts are learned before the draws and frozen.

    >>> from torch.distributions import Bernoulli
    >>> from estimators import Function
    >>> Rodeo().surrogate(Bernoulli(logits=torch.zeros(3)), Function(lambda z: 0 * z + 2), 4)
    tensor([2., 2., 2.])
    """

    traits = Traits(
        unbiased=True,
        needs=frozenset({Need.BINARY, Need.FACTORISED, Need.RELAXABLE, Need.INDEPENDENT_DRAWS}),
        min_samples=2,
        fitted=True,
        paper="Shi et al. 2022",
    )

    operator: str = "barker"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.operator not in WEIGHTS:
            raise BadInput(f"rodeo: operator must be one of {', '.join(WEIGHTS)}, found {self.operator!r}")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        phi = logits(q)
        value, gradient = self.gradient(q, f, n, self.state or start(phi, hidden=0))
        return valued(value, linear(gradient, phi, q))

    def fit(self, q: Distribution, f: Objective, n: int, steps: int) -> "Rodeo":
        def surrogate(q: Distribution, weights: Weights) -> Tensor:
            gradient = self.gradient(q, f, n, weights)[1]
            return (gradient * logits(q)).flatten(len(q.batch_shape)).sum(-1) if q.event_shape else gradient * logits(q)

        return self.frozen(least_variance(surrogate, q, start(logits(q), hidden=10), steps))

    def gradient(self, q: Distribution, f: Objective, n: int, weights: Weights) -> tuple[Tensor, Tensor]:
        """Returns f's mean `[*batch]` and the estimate in the logits `[*batch, *event]`, detached from θ."""
        b = sample(q, n)
        value, slope = held_gradient_at(f, b, q)
        f_k = value.detach()
        x, phi = flat(b, q), flat(logits(q).detach(), q)
        score, flip = x - phi.sigmoid(), 1 - 2 * x
        here, there = guesses(weights, x, f_k, flat(slope, q))
        w = WEIGHTS[self.operator](flip * phi)
        rise = (w * (there - here.unsqueeze(-1))).sum(-1)
        baseline = leave_out(f_k + weights["alpha"].to(f_k) * rise)
        vector = rise.unsqueeze(-1) * score + w * there * flip
        estimate = (f_k - baseline).unsqueeze(-1) * score + weights["beta"].to(f_k) * vector
        return value.mean(0), estimate.mean(0).reshape(logits(q).shape)


def start(like: Tensor, hidden: int) -> Weights:
    """Returns the initial weights: H(f, u) = f + u, and α = β = 0."""
    return network(2, like, hidden) | {"alpha": like.new_zeros(()), "beta": like.new_zeros(())}


WEIGHTS = {"barker": torch.sigmoid, "mpf": lambda log_ratio: (log_ratio / 2).exp()}
"""w_i as a function of log q(x^i) − log q(x)."""


def guesses(
    weights: Weights, x: Float[Tensor, "n *batch"], value: Float[Tensor, "n ..."], slope: Float[Tensor, "n *batch"]
) -> tuple[Tensor, Tensor]:
    """Returns h_k(x_k) `[n, *batch]` and h_k(x_k^i) `[n, *batch, D]`, each from the other draws alone."""
    n = len(x)
    step = (slope * (x.unsqueeze(1) - x)).sum(-1, keepdim=True)  # [k, j, *batch, 1]
    steps = torch.cat([step, step + slope * (1 - 2 * x).unsqueeze(1)], -1)
    f_j = value.unsqueeze(-1).expand_as(steps)
    guess = f_j + steps + apply(weights, torch.stack([f_j, steps], -1))
    other = (1 - torch.eye(n, dtype=x.dtype, device=x.device)).reshape(n, n, *(1 for _ in guess.shape[2:]))
    mean = (guess * other).sum(1) / (n - 1)
    return mean[..., 0], mean[..., 1:]
