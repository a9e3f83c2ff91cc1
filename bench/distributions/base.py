"""The base class of distribution families: θ, the distribution, its properties, its weighted supports."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.distributions import Distribution

from bench.numerics.tensors import Tensors
from estimators.errors import BadInput
from estimators.registry import Registry

Encode = Callable[[Tensors, str], Tensors]
"""(θ, name of its coordinates) → the distribution's parameters."""

Values = Literal["bits", "one_hot", "counts", "real", "simplex", "permutation", "other"]
"""The kind of a draw: bits `[size]`, one-hot rows `[size, categories]`, counts or real numbers `[size]`, …"""


@dataclass(frozen=True)
class Family(ABC):
    """A family of distributions with a default θ; the dataclass fields are its settings.

    θ is float64 on the CPU; each of its entries is one *block* of the gradient. `encode` maps θ to the
    distribution's parameters, once; `build` takes parameters with any leading axes.

    Class attributes: the first of `coordinates` is the default. `data_axes`: number of leading axes of the parameters
    that run over data (an amortised posterior); the problem's target is the mean over them. `values`: the kind of z,
    by which objectives decide whether they fit. `moments`: E|z|^k is finite for k below this. `light_tailed`: whether
    E exp(−z/2) is finite. `offers` and `offers_not` may name needs (`estimators.Need`) that q meets, or does not meet,
    in addition to those detected from q.
    """

    name: ClassVar[str]
    used_by: ClassVar[str]
    discrete: ClassVar[bool]
    factorised: ClassVar[bool] = True
    reparameterised: ClassVar[bool]
    tractable_density: ClassVar[bool] = True
    coordinates: ClassVar[tuple[str, ...]] = ("unconstrained", "natural")
    points: ClassVar[tuple[str, ...]] = ("default",)
    values: ClassVar[Values] = "other"
    moments: ClassVar[float] = inf
    light_tailed: ClassVar[bool] = True
    version: ClassVar[int] = 1
    data_axes: ClassVar[int] = 0
    pathwise_tolerance: ClassVar[float] = 0.0
    """The known relative bias of torch's own pathwise gradient of this family, in either precision."""
    hidden: ClassVar[int] = 0
    """How many of a draw's last coordinates f does not see."""
    pushed_size: ClassVar[int] = 1
    """Up to this size the points of `push` are of all coordinates at once."""

    size: int = 5

    def __post_init__(self) -> None:
        if self.size < 1:
            raise BadInput(f"size must be at least 1, found {self.size}")

    @abstractmethod
    def theta(self, point: str, coordinates: str) -> Tensors:
        """Returns θ at a named point, in the named coordinates."""

    @abstractmethod
    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        """Returns the parameters for `build` from θ; differentiable."""

    def encoder(self, like: Tensor) -> Encode:
        """Returns `encode` with its constants (a minibatch) on `like`'s device and dtype, read once for all steps."""
        return self.encode

    def along_draws(self) -> "Family | None":
        """Returns this family with θ as q's parameters, so that one estimate costs what its draws visit alone.

        For an encoder whose parameters are too many to differentiate for each estimate. Default: None, there is none.
        """
        return None

    @abstractmethod
    def build(self, parameters: Tensors) -> Distribution:
        """Returns the distribution at these parameters, `[*leading, …]`, without torch's validation."""

    def builder(self, like: Tensor) -> Callable[[Tensors], Distribution]:
        """Returns `build` with its constants (other policies) on `like`'s device and dtype, read once for all steps."""
        return self.build

    def marginals(self, parameters: Tensors) -> Distribution:
        """Returns the distribution of each coordinate, batch shape `[*leading, size]`, for separable objectives."""
        raise NotImplementedError(f"{self.name} has no one-dimensional marginals")

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        """Returns a weighted support of each coordinate: constant points and weights, both `[S, *leading, size]`.

        Σ_s `mass`_s h(z_s) is E h(z_d) for any h that is smooth between `breaks`. `level` + 1 doubles the nodes: the
        difference of two levels shows the error. If a coordinate is a vector (a one-hot row), the points have its axes
        too. Raises NotImplementedError if there is no such support.
        """
        raise NotImplementedError(f"{self.name} has no weighted support")

    def mass(self, parameters: Tensors, z: Tensor, weight: Tensor) -> Tensor:
        """Returns the mass of each point of `line`, w q_d(z), `[S, *leading, size]`; differentiable."""
        return weight * self.marginals(parameters).log_prob(z).exp()

    def push(self, parameters: Tensors, level: int) -> tuple[Tensor, Tensor]:
        """Returns points z = g(ε, θ) `[S, *leading, *event]`, differentiable, and constant weights `[S]`: Σ w f = E f.

        For smooth f if there is no density to differentiate. Above `pushed_size` the rule holds for each coordinate
        separately. Raises NotImplementedError if there is no such rule.
        """
        raise NotImplementedError(f"{self.name} has no rule over its noise")

    def covariance(self, parameters: Tensors) -> Tensor | None:
        """Returns the covariance of dependent coordinates, `[*leading, size, size]`, or None if unknown."""
        return None

    def mean_cosine(self, parameters: Tensors, frequency: float, level: int) -> Tensor | None:
        """Returns E cos(frequency · z_d), `[*leading, size]`, if tails are too heavy for `line`; else None."""
        return None

    def joint(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        """Returns a weighted support of z, for one or two coordinates: points `[S, *event]`, weights `[S]`.

        The parameters have no leading axes. Default: the product of the coordinates' supports, two levels coarser.
        Raises NotImplementedError if there is no such support.
        """
        if not self.factorised or not self.tractable_density or self.size > 2:
            raise NotImplementedError(f"{self.name} of size {self.size} has no weighted support of all coordinates")
        z, weight = self.line(parameters, breaks, level - 2)
        if self.size == 1:
            return z, weight[:, 0]
        i, j = torch.cartesian_prod(torch.arange(len(z)), torch.arange(len(z))).unbind(-1)
        return torch.stack([z[i, 0], z[j, 1]], 1), weight[i, 0] * weight[j, 1]


distributions: Registry[Family] = Registry("distribution")
