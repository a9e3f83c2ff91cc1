"""What a distribution family says of itself: its θ, its distribution, its facts, its weighted support."""

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
"""θ and its coordinates → a distribution's own parameters."""

Values = Literal["bits", "one_hot", "counts", "real", "simplex", "permutation", "other"]
"""What a draw is: bits `[size]`, one-hot rows `[size, categories]`, counts or real numbers `[size]`, …"""


@dataclass(frozen=True)
class Family(ABC):
    """A family of distributions at a default θ; the dataclass fields are its settings.

    θ is float64 on the CPU; each entry is one *block* of the gradient. `encode` takes θ to the
    distribution's own parameters, once; `build` takes parameters with any leading axes.
    The first of `coordinates` is the default. `data_axes` counts the leading axes of the parameters
    that run over data (an amortised posterior): the problem's target is the mean over them.
    `values` says what z is: objectives choose by it. `moments`: E|z|^k is finite for k below it;
    `light_tailed`: E exp(−z/2) is finite. `offers` and `offers_not` may name needs (`estimators.Need`) that q meets, or
    does not, beside those that it shows itself.
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
        """θ at a named point, in the named coordinates."""

    @abstractmethod
    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        """θ → the parameters that `build` takes; differentiable."""

    def encoder(self, like: Tensor) -> Encode:
        """`encode`, with its constants (a minibatch) on `like`'s device and dtype: read once, not at every step."""
        return self.encode

    @abstractmethod
    def build(self, parameters: Tensors) -> Distribution:
        """The distribution at these parameters, `[*leading, …]`; unvalidated."""

    def marginals(self, parameters: Tensors) -> Distribution:
        """The coordinates' own distributions, batch `[*leading, size]`, for separable objectives."""
        raise NotImplementedError(f"{self.name} has no one-dimensional marginals")

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        """A weighted support of each coordinate: points and weights, both `[S, *leading, size]`, constant.

        Σ_s `mass`_s h(z_s) is E h(z_d), for any h that is smooth between `breaks`; `level` + 1
        doubles the nodes, so that two levels show the error. A coordinate that is itself a vector (a one-hot
        row) adds its own axes to the points.
        """
        raise NotImplementedError(f"{self.name} has no weighted support")

    def mass(self, parameters: Tensors, z: Tensor, weight: Tensor) -> Tensor:
        """The probability that each point of `line` stands for, `[S, *leading, size]`, differentiable: w q_d(z)."""
        return weight * self.marginals(parameters).log_prob(z).exp()

    def push(self, parameters: Tensors, level: int) -> tuple[Tensor, Tensor]:
        """Points z = g(ε, θ) `[S, *leading, *event]`, differentiable, and constant weights `[S]`: Σ w f(z) is E f.

        For smooth f where there is no density to differentiate. Above `pushed_size` the rule is one per coordinate.
        """
        raise NotImplementedError(f"{self.name} has no rule over its noise")

    def covariance(self, parameters: Tensors) -> Tensor | None:
        """The covariance matrix of dependent coordinates, `[*leading, size, size]`; None where it is not known."""
        return None

    def mean_cosine(self, parameters: Tensors, frequency: float, level: int) -> Tensor | None:
        """E cos(frequency · z_d), `[*leading, size]`, where tails are too heavy for a line to follow; else None."""
        return None

    def joint(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        """A weighted support of z itself, for one or two coordinates: points `[S, *event]`, weights `[S]`.

        Of parameters without leading axes; by default the product of the coordinates' supports, two levels coarser.
        """
        if not self.factorised or not self.tractable_density or self.size > 2:
            raise NotImplementedError(f"{self.name} of size {self.size} has no weighted support of all coordinates")
        z, weight = self.line(parameters, breaks, level - 2)
        if self.size == 1:
            return z, weight[:, 0]
        i, j = torch.cartesian_prod(torch.arange(len(z)), torch.arange(len(z))).unbind(-1)
        return torch.stack([z[i, 0], z[j, 1]], 1), weight[i, 0] * weight[j, 1]


distributions: Registry[Family] = Registry("distribution")
