"""Antithetic draws: every draw comes with its mirror image, for any estimator that averages over draws."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, Laplace, MultivariateNormal, Normal, StudentT

from estimators.core import Estimator, Objective
from estimators.errors import BadInput
from estimators.registry import register
from estimators.score_function import Reinforce
from estimators.tools.parameters import base
from estimators.traits import Need, Traits


@register("antithetic")
@dataclass(frozen=True)
class Antithetic(Estimator):
    """`inner` on draws in pairs: z with 2·mean − z, or for bits u with 1 − u.

    Each half has q's distribution, so an estimator that is unbiased for each draw stays unbiased. An `inner` that needs
    independent draws (leave-one-out) would become biased and is refused. n draws are n/2 pairs. Raises `BadInput` if
    `inner` is refused, has not been fitted, or draws its own noise.
    Paper: Hammersley, Morton 1956, Math. Proc. Camb. Phil. Soc. 52, 449–475; Owen 2013, Monte Carlo theory, methods and
    examples, section 8.2.

    >>> Antithetic(Reinforce())
    Antithetic(inner=Reinforce())
    >>> from torch.distributions import Normal
    >>> from estimators import Function
    >>> mean = Antithetic().surrogate(Normal(torch.tensor([1.0, 2.0]), 1.0), Function(lambda z: 3 * z), 2)
    >>> mean.round(decimals=3)  # rounding aside, whatever was drawn
    tensor([3., 6.])
    """

    inner: Estimator = Reinforce()  # noqa: RUF009  (frozen)

    def __post_init__(self) -> None:
        if not isinstance(self.inner, Estimator):
            raise BadInput(f"antithetic: inner must be an estimator, found {self.inner!r}")
        if Need.INDEPENDENT_DRAWS in self.inner.traits.needs:
            raise BadInput(f"antithetic: {self.inner!r} needs independent draws; mirrored ones would bias it")
        if self.inner.traits.fitted and not getattr(self.inner, "digest", ""):
            raise BadInput(f"antithetic: fit {self.inner!r} first; the wrapper fits nothing")

    @cached_property
    def traits(self) -> Traits:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The traits of `inner`, with pairs of draws."""
        inner = self.inner.traits
        return replace(
            inner,
            needs=inner.needs | {Need.SYMMETRIC},
            min_samples=max(2, inner.min_samples),
            samples_step=math.lcm(2, inner.samples_step),
            fitted=False,
            paper="Hammersley, Morton 1956",
        )

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        pairs = Mirrored(q)
        surrogate = self.inner.surrogate(pairs, f, n)
        if not pairs.drawn:
            raise BadInput(f"antithetic: {self.inner!r} makes noise of its own, which nothing mirrors")
        return surrogate


class Mirrored(Independent):
    """q with draws whose second half mirrors the first half.

    `drawn`: whether a draw was taken.

    >>> z = Mirrored(Normal(5.0, 1.0)).sample((4,))
    >>> z[:2] + z[2:]
    tensor([10., 10.])
    """

    def __init__(self, q: Distribution) -> None:
        super().__init__(q, 0, validate_args=False)
        self.drawn = False

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Returns mirrored draws as constants; the first axis must have even length."""
        with torch.no_grad():
            inner = base(self)
            if isinstance(inner, Bernoulli):
                probs = inner.probs.expand(*half(sample_shape), *inner.batch_shape)
                u = torch.rand(probs.shape, dtype=probs.dtype, device=probs.device)
                self.drawn = True
                return torch.cat([u < probs, 1 - u <= probs]).to(probs.dtype)
            return self.rsample(sample_shape).detach()  # no_grad does not stop forward mode

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Returns mirrored draws, differentiable in θ; the first axis must have even length.

        Raises `BadInput` if q has no differentiable mirror image.
        """
        inner = base(self)
        if not isinstance(inner, Normal | MultivariateNormal | Laplace | StudentT):
            raise BadInput(f"antithetic: a {type(inner).__name__} has no mirror image that is differentiable")
        z = inner.rsample(half(sample_shape))
        self.drawn = True
        return torch.cat([z, 2 * inner.loc - z])


def half(sample_shape: torch.Size | tuple[int, ...]) -> torch.Size:
    """Returns the shape of one half of the draws. Raises `BadInput` for an odd number of draws."""
    if not sample_shape or sample_shape[0] % 2:
        raise BadInput(f"antithetic: draws come in pairs, found a sample shape of {tuple(sample_shape)}")
    return torch.Size((sample_shape[0] // 2, *sample_shape[1:]))
