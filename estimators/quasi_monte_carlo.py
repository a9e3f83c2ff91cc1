"""Randomised quasi-Monte Carlo: evenly spread draws, for any estimator that averages over draws."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, MultivariateNormal, OneHotCategorical
from torch.quasirandom import SobolEngine

from estimators.core import Estimator, Objective
from estimators.errors import BadInput
from estimators.registry import register
from estimators.score_function import Reinforce
from estimators.stratified import edges
from estimators.tools.parameters import base
from estimators.traits import Need, Traits

WORD = 2**32 - 1
SEEDS = 2**62
DIRECTIONS = SobolEngine(2048).sobolstate
"""Direction numbers of Joe and Kuo, `[dimensions, bits]`, 30 bits each.

They are read at import, because torch.func does not allow such in-place work inside a transform.
"""


@register("quasi_monte_carlo")
@dataclass(frozen=True)
class QuasiMonteCarlo(Estimator):
    """`inner` with the n draws' uniforms replaced by a scrambled Sobol set, a new one for every batch element.

    Each single draw has q's distribution, so an estimator that is unbiased for each draw stays unbiased. An `inner`
    that needs independent draws (leave-one-out) is refused. n = 2^m covers the space best. Raises `BadInput` if `inner`
    is refused, has not been fitted, or draws its own noise.
    Paper: Buchholz, Wenzel, Mandt 2018, arXiv:1807.01604; scrambling: Owen 1995, in Monte Carlo and Quasi-Monte Carlo
    Methods in Scientific Computing, 299–317, by a hash (Burley 2020, J. Comput. Graph. Tech. 9(4); Vegdahl 2021,
    Building a better LK hash).
    Differs from the paper: the set is scrambled by a hash, while Owen draws permutations.

    >>> from torch.distributions import Normal
    >>> from estimators import Function
    >>> f = Function(lambda z: (z < 0).to(z), differentiable=False)
    >>> QuasiMonteCarlo().surrogate(Normal(torch.zeros(3), 1.0), f, 8)  # half of them, every time
    tensor([0.5000, 0.5000, 0.5000])
    """

    inner: Estimator = Reinforce()  # noqa: RUF009  (frozen)

    def __post_init__(self) -> None:
        if not isinstance(self.inner, Estimator):
            raise BadInput(f"quasi_monte_carlo: inner must be an estimator, found {self.inner!r}")
        if Need.INDEPENDENT_DRAWS in self.inner.traits.needs:
            raise BadInput(f"quasi_monte_carlo: {self.inner!r} needs independent draws; these depend on each other")
        if self.inner.traits.fitted and not getattr(self.inner, "digest", ""):
            raise BadInput(f"quasi_monte_carlo: fit {self.inner!r} first; the wrapper fits nothing")

    @cached_property
    def traits(self) -> Traits:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The traits of `inner`, for distributions with an inverse CDF."""
        inner = self.inner.traits
        return replace(inner, needs=inner.needs | {Need.QUANTILE}, fitted=False, paper="Buchholz, Wenzel, Mandt 2018")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        even = Even(q)
        surrogate = self.inner.surrogate(even, f, n)
        if not even.drawn:
            raise BadInput(f"quasi_monte_carlo: {self.inner!r} makes noise of its own, which nothing replaces")
        return surrogate


class Even(Independent):
    """q with draws by inverse CDF from one scrambled Sobol set per batch element.

    `drawn`: whether a draw was taken.
    """

    def __init__(self, q: Distribution) -> None:
        super().__init__(q, 0, validate_args=False)
        self.drawn = False

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Returns draws as constants; `sample_shape` is (n,)."""
        with torch.no_grad():
            return self.rsample(sample_shape).detach()  # no_grad does not stop forward mode

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Returns draws, differentiable in θ if q is continuous; `sample_shape` is (n,).

        Raises `BadInput` for a sample shape of several axes.
        """
        if len(sample_shape) != 1:
            raise BadInput(f"quasi_monte_carlo: draws come as one set, found a sample shape of {tuple(sample_shape)}")
        self.drawn = True
        inner, (n,) = base(self), sample_shape
        like = inner.logits if isinstance(inner, Bernoulli | OneHotCategorical) else inner.mean
        if isinstance(inner, OneHotCategorical):
            return by_category(inner.probs, self.uniforms(n, inner.batch_shape, like))
        u = self.uniforms(n, self.batch_shape + self.event_shape, like)
        if isinstance(inner, Bernoulli):
            return (u < inner.probs).to(like.dtype)
        if isinstance(inner, MultivariateNormal):
            return inner.loc + (inner.scale_tril @ torch.special.ndtri(u).unsqueeze(-1)).squeeze(-1)
        return inner.icdf(u)

    def uniforms(self, n: int, shape: torch.Size, like: Tensor) -> Float[Tensor, "n ..."]:
        """Returns uniforms `[n, *shape]`; the axes of `shape` after the batch are the dimensions of the Sobol set."""
        dimensions = shape[len(self.batch_shape) :].numel()
        points = sobol(n, dimensions, like.device)
        seed = torch.randint(0, SEEDS, (*self.batch_shape, dimensions), device=like.device)
        points = points.reshape(n, *(1 for _ in self.batch_shape), dimensions)
        return unit(scrambled(points, seed), like.dtype).reshape(n, *shape)


def by_category(probs: Float[Tensor, "*batch"], u: Float[Tensor, "n ..."]) -> Tensor:
    """Returns one-hot categories by inverse CDF.

    >>> by_category(torch.tensor([0.2, 0.8]), torch.tensor([0.1, 0.3]))
    tensor([[1., 0.],
            [0., 1.]])
    """
    index = (u.unsqueeze(-1) >= edges(probs)).sum(-1)
    categories = torch.arange(probs.shape[-1], device=probs.device)
    return (index.unsqueeze(-1) == categories).to(probs.dtype)


def sobol(n: int, dimensions: int, device: torch.device | None = None) -> Int[Tensor, "n dimensions"]:
    """Returns the first n Sobol points as 32-bit integers, in Gray-code order.

    Point i is the sum over GF(2) of the direction numbers at the bits of i ⊕ i/2. Raises `BadInput` for more dimensions
    than `DIRECTIONS` has.

    >>> (sobol(4, 1) / 2**32).flatten().tolist()
    [0.0, 0.5, 0.75, 0.25]
    """
    if dimensions > len(DIRECTIONS):
        raise BadInput(f"quasi_monte_carlo: at most {len(DIRECTIONS)} dimensions, found {dimensions}")
    index = torch.arange(n, device=device).unsqueeze(-1)
    gray, points = index ^ (index >> 1), torch.zeros_like(index)
    for bit, direction in enumerate(DIRECTIONS[:dimensions, : max(1, n - 1).bit_length()].to(index.device).unbind(-1)):
        points = points ^ (((gray >> bit) & 1) * direction)
    return points << 2


def scrambled(points: Int[Tensor, "n ..."], seed: Int[Tensor, "..."]) -> Int[Tensor, "n ..."]:
    """Returns Owen's nested scramble of 32-bit fractions: a hash of the seed and the higher bits flips each bit.

    In reversed order, higher bits are lower bits, and multiplication moves information upwards only. The low 32 bits of
    the seed are added, the others give an odd factor: a point plus a uniform number is uniform, and the other steps are
    bijections, so every point is exactly uniform. With the four factors of Burley alone, the variance of a mean of 2^m
    draws is off by a third in either direction; with the hash of Vegdahl 2021 it equals that of a true nested scramble.
    """
    x = reversed_bits(points)
    x = (x ^ (x * 0x3D20ADEA)) & WORD
    x = (x + (seed & WORD)) & WORD
    x = (x * ((seed >> 32) | 1)) & WORD
    for factor in (0x05526C56, 0x53A22864):
        x = (x ^ (x * factor)) & WORD
    return reversed_bits(x)


def reversed_bits(x: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
    """Returns the low 32 bits in reverse order.

    >>> reversed_bits(torch.tensor([1, 2**31])).tolist()
    [2147483648, 1]
    """
    for shift, mask in ((1, 0x55555555), (2, 0x33333333), (4, 0x0F0F0F0F), (8, 0x00FF00FF), (16, 0x0000FFFF)):
        x = ((x >> shift) & mask) | ((x & mask) << shift)
    return x


def unit(x: Int[Tensor, "..."], dtype: torch.dtype) -> Float[Tensor, "..."]:
    """Returns 32-bit integers as numbers in the open interval (0, 1), in the middle of cells that the dtype holds."""
    bits = min(32, round(-math.log2(torch.finfo(dtype).eps)))
    return ((x >> (32 - bits)).to(dtype) + 0.5) / 2**bits
