"""Baselines: subtracted from f before it multiplies the score, so that the score's noise is not amplified."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Estimator, Fitted, Objective
from estimators.errors import BadInput
from estimators.registry import register
from estimators.score_function import ScoreFunction, scored
from estimators.tools.groups import apart_from_mean, deviation_of, mean_of_group, over_scale, rounding
from estimators.tools.parameters import linear, mode, parameters, rebuild, sample, valued
from estimators.traits import Need, Traits


@register("moving_average")
@dataclass(frozen=True)
class MovingAverage(Fitted, ScoreFunction):
    """(f(z) − b) ∇θ log q(z), where b is a moving average of f over earlier draws.

    b = (1 − decay) Σ_i decay^i f̄_{−i} / (1 − decay^steps): the sum starts at 0, and the division corrects for that
    start. A published variant includes the current draw, which shrinks the gradient; here b is frozen before the draw,
    one number for the whole batch. Unfitted, b = 0. Raises `BadInput` unless 0 ≤ `decay` < 1.
    Paper: Williams 1992 (reinforcement baselines), Machine Learning 8, 229–256; Mnih, Gregor 2014 (variance reduction),
    arXiv:1402.0030, section 2.3.
    Differs from the paper: b is corrected for its start at 0 and is frozen before the measurement, while the papers
    update it during training.

    >>> from torch.distributions import Normal
    >>> from estimators import Function
    >>> fitted = MovingAverage(decay=0.5).fit(Normal(0.0, 1.0), Function(lambda z: 0 * z + 3), n=1, steps=2)
    >>> fitted.state
    {'baseline': tensor(3.)}
    """

    traits = Traits(unbiased=True, needs=frozenset({Need.DENSITY}), fitted=True, paper="Williams 1992")

    decay: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.decay < 1:
            raise BadInput(f"moving_average: decay must be in [0, 1), found {self.decay}")

    def fit(self, q: Distribution, f: Objective, n: int, steps: int) -> "MovingAverage":
        total = torch.tensor(0.0)
        with torch.no_grad():
            for _ in range(steps):
                total = self.decay * total + (1 - self.decay) * f(sample(q, n), q).mean()
        return self.frozen({"baseline": total / (1 - self.decay**steps) if steps else total})

    def coefficient(self, value: Float[Tensor, "n *batch"]) -> Float[Tensor, "n *batch"]:
        return value if self.state is None else value - self.state["baseline"].to(value)


@register("group_mean")
@dataclass(frozen=True)
class GroupMean(ScoreFunction):
    """1/K Σ (f_k − f̄) s_k: the baseline is the mean of all draws, including the current one.

    Biased: the mean is exactly (1 − 1/K) of the gradient; leave-one-out is K/(K − 1) times this estimate for every set
    of draws.
    Paper: Shao et al. 2024 (GRPO), arXiv:2402.03300, section 4.1.2, without the division by the standard deviation (Liu
    et al. 2025, Dr. GRPO, arXiv:2503.20783, section 3.2).
    Differs from the paper: the clipped ratio is left out, and so are all steps after the first on the same draws.

    >>> GroupMean().coefficient(torch.tensor([1.0, 3.0]))
    tensor([-1.,  1.])
    """

    traits = Traits(unbiased=False, needs=frozenset({Need.DENSITY}), min_samples=2, paper="Liu et al. 2025")

    def coefficient(self, value: Float[Tensor, "n *batch"]) -> Float[Tensor, "n *batch"]:
        return value - mean_of_group(value)


@register("grpo")
@dataclass(frozen=True)
class GroupRelative(ScoreFunction):
    """1/K Σ (f_k − f̄)/std(f) s_k: the group's mean is the baseline, its standard deviation the scale.

    Biased in scale and, because the scale is random, in direction; it reweights the states of a batch. Where all values
    are equal up to `rounding`, the coefficient is 0: the limit of published code, which has an ε in the denominator. If
    f is a difference of larger numbers, such as an evidence, its values have larger rounding errors than their size
    suggests: where they are otherwise equal, the coefficient is these errors, scaled to size 1.
    Paper: Shao et al. 2024 (GRPO), arXiv:2402.03300, section 4.1.2.
    Differs from the paper: the standard deviation divides by K − 1 and has no added ε (the paper does not specify
    either), and the clipped ratio and the penalty on the divergence are left out.

    >>> GroupRelative().coefficient(torch.tensor([[1.0, 2.0], [3.0, 2.0]]))
    tensor([[-0.7071,  0.0000],
            [ 0.7071,  0.0000]])
    """

    traits = Traits(unbiased=False, needs=frozenset({Need.DENSITY}), min_samples=2, paper="Shao et al. 2024")

    def coefficient(self, value: Float[Tensor, "n *batch"]) -> Float[Tensor, "n *batch"]:
        apart = apart_from_mean(value)
        return over_scale(apart, deviation_of(apart, rounding(value)))


@register("independent_baseline")
@dataclass(frozen=True)
class IndependentBaseline(ScoreFunction):
    """(f(z) − f(z′)) ∇θ log q(z): each draw's baseline is f at a separate draw; n draws make n/2 pairs.

    Paper: Liu, Regier, Tripuraneni, Jordan, McAuliffe 2019 (its REINFORCE with an independent baseline),
    arXiv:1810.04777.

    >>> IndependentBaseline().coefficient(torch.tensor([5.0, 3.0]))
    tensor([4., 0.])
    """

    traits = Traits(
        unbiased=True,
        needs=frozenset({Need.DENSITY, Need.INDEPENDENT_DRAWS}),
        min_samples=2,
        samples_step=2,
        paper="Liu et al. 2019",
    )

    def coefficient(self, value: Float[Tensor, "n *batch"]) -> Float[Tensor, "n *batch"]:
        first, second = value.chunk(2)
        return torch.cat([2 * (first - second), torch.zeros_like(second)])  # 2: the mean is over n, not n/2


@register("self_critical")
@dataclass(frozen=True)
class SelfCritical(Estimator):
    """(f(z) − f(mode of q)) ∇θ log q(z): the baseline is f at the greedy choice.

    Paper: Rennie et al. 2017 (self-critical sequence training), arXiv:1612.00563, equation 9; Li et al. 2023 (ReMax),
    arXiv:2310.10505.

    >>> from torch.distributions import Bernoulli
    >>> from estimators import Function
    >>> q = Bernoulli(logits=torch.tensor(40.0, requires_grad=True))
    >>> SelfCritical().surrogate(q, Function(lambda z: 7 * z), 3)
    tensor(7., grad_fn=<MeanBackward1>)
    """

    traits = Traits(unbiased=True, needs=frozenset({Need.DENSITY, Need.MODE}), paper="Rennie et al. 2017")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        z = sample(q, n)
        value = f.held(z, q)
        return scored(value, value - f(mode(q), q), q.log_prob(z))


@register("optimal_coefficient")
@dataclass(frozen=True)
class OptimalCoefficient(Estimator):
    """1/K Σ (f_k − c_k) s_k with the baseline of least variance, c_k = Σ_{j≠k} f_j s_j² / Σ_{j≠k} s_j².

    One c per coordinate of q's parameters or, with `per_coordinate = False`, one c for all, with ‖s_j‖² for s_j². c_k
    leaves draw k out: an in-sample coefficient has a bias of O(1/K).
    Paper: Greensmith, Bartlett, Baxter 2004 (constant baselines), J. Mach. Learn. Res. 5, 1471–1530; Ranganath,
    Gerrish, Blei 2014 (control variates), arXiv:1401.0118, section 3.2.
    Differs from the paper: c_k leaves draw k out, while Ranganath et al. estimate one coefficient from the draws to
    which it is applied.

    >>> from torch.distributions import Normal
    >>> from estimators import Function
    >>> q = Normal(torch.tensor(1.0, requires_grad=True), 1.0)
    >>> OptimalCoefficient().surrogate(q, Function(lambda z: 0 * z + 3), 4).backward()
    >>> bool(q.loc.grad.abs() < 1e-6)
    True
    """

    traits = Traits(
        unbiased=True,
        needs=frozenset({Need.DENSITY, Need.INDEPENDENT_DRAWS, Need.PARAMETERS}),
        min_samples=2,
        paper="Greensmith et al. 2004",
    )

    per_coordinate: bool = True

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        z = sample(q, n)
        value, score = f.held(z, q), scores(q, z)
        f_k = value.detach()
        weight = {name: s.square() for name, s in score.items()}
        if not self.per_coordinate:
            norm = torch.stack([w.reshape(*f_k.shape, -1).sum(-1) for w in weight.values()]).sum(0)
            weight = dict.fromkeys(score, norm)
        surrogate = torch.zeros_like(f_k[0])
        for name, parameter in parameters(q).items():
            w, s = weight[name], score[name]
            c = others_mean(spread(f_k, w), w)
            estimate = ((spread(f_k, s) - spread(c, s)) * s).mean(0)
            surrogate = surrogate + linear(estimate, parameter, q)
        return valued(value.mean(0), surrogate)


def scores(q: Distribution, z: Shaped[Tensor, "n ..."]) -> dict[str, Tensor]:
    """Returns ∇ log q(z_k) of every draw in q's parameters, by name, each `[n, *batch, …]`, detached."""
    expanded = {name: value.detach().expand(len(z), *value.shape) for name, value in parameters(q).items()}
    return torch.func.grad(lambda values: rebuild(q, values).log_prob(z).sum())(expanded)


def spread(value: Tensor, like: Tensor) -> Tensor:
    """Returns `value` with trailing axes of size 1, up to the number of axes of `like`."""
    return value.reshape(*value.shape, *(1 for _ in range(like.dim() - value.dim())))


def others_mean(value: Float[Tensor, "n ..."], weight: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
    """Returns for each draw the weighted mean over the other draws, or 0 if their weight is 0.

    The sums over the others are computed directly, because total − own cancels when one weight dominates.

    >>> others_mean(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 1.0, 3.0]))
    tensor([3.5000, 3.2500, 1.5000])
    """
    other = 1 - torch.eye(len(weight), dtype=weight.dtype, device=weight.device)
    above = torch.tensordot(other, value * weight, 1)
    below = torch.tensordot(other, weight, 1)
    return above / torch.where(below == 0, 1, below)
