"""The double control variate: leave-one-out with a Taylor term in both the baseline and the estimate."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.baselines import spread
from estimators.control_variates import flat
from estimators.core import Fitted, Objective, held_gradient_at
from estimators.registry import register
from estimators.tools.parameters import linear, logits, sample, valued
from estimators.traits import Need, Traits


@register("double_cv")
@dataclass(frozen=True)
class DoubleControlVariate(Fitted):
    """1/K Σ (f_k + a_k − mean_{j≠k}(f_j + a_j)) s_k − α f̄′ t(1−t), with a_k = α (mean_{j≠k} f′_j)·(b_k − t).

    Leave-one-out on f + a, minus the gradient of a's mean. α is fixed before the draw; unfitted it is −1, which removes
    all of a linear f. The estimate is linear in α, A + αB with E B = 0, so `fit` sets α = −E⟨A, B⟩ / E⟨B, B⟩.
    Paper: Titsias, Shi 2022, arXiv:2111.05300 (write-ups differ in the sign of α).
    Differs from the paper: α solves a regression before the draws, while the paper descends the same variance during
    training.

    >>> from torch.distributions import Bernoulli
    >>> from estimators import Function
    >>> logit = torch.tensor(0.0, requires_grad=True)
    >>> DoubleControlVariate().surrogate(Bernoulli(logits=logit), Function(lambda b: 4 * b), 2).backward()
    >>> logit.grad
    tensor(1.)
    """

    traits = Traits(
        unbiased=True,
        needs=frozenset({Need.BINARY, Need.FACTORISED, Need.RELAXABLE, Need.INDEPENDENT_DRAWS}),
        min_samples=2,
        fitted=True,
        paper="Titsias, Shi 2022",
    )

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        value, plain, taylor = parts(q, f, n)
        alpha = -1.0 if self.state is None else self.state["alpha"].to(value)
        return valued(value, linear(plain + alpha * taylor, logits(q), q))

    def fit(self, q: Distribution, f: Objective, n: int, steps: int) -> "DoubleControlVariate":
        moments = torch.zeros(2, dtype=torch.float64)
        for _ in range(steps):
            _, plain, taylor = (part.detach() for part in parts(q, f, n))
            moments += torch.stack([(plain * taylor).sum(), taylor.square().sum()]).double().cpu()
        return self.frozen({"alpha": torch.where(moments[1] > 0, -moments[0] / moments[1], -1.0)})


def parts(q: Distribution, f: Objective, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Returns f's mean `[*batch]`, leave-one-out's gradient in the logits and α's factor, both `[*batch, *event]`."""
    b = sample(q, n)
    value, slope = held_gradient_at(f, b, q)
    f_k = value.detach()
    t = logits(q).detach().sigmoid()
    score = b - t
    others = (slope.sum(0) - slope) / (n - 1)
    a = flat(others * score, q).sum(-1)
    plain = (spread(f_k - leave_out(f_k), score) * score).mean(0)
    taylor = (spread(a - leave_out(a), score) * score).mean(0) - slope.mean(0) * t * (1 - t)
    return value.mean(0), plain, taylor


def leave_out(value: Float[Tensor, "n *batch"]) -> Float[Tensor, "n *batch"]:
    """Returns for each draw the mean over the other draws.

    >>> leave_out(torch.tensor([1.0, 2.0, 6.0]))
    tensor([4.0000, 3.5000, 1.5000])
    """
    return (value.sum(0) - value) / (len(value) - 1)
