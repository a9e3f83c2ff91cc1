"""What a distribution family says of itself: its θ, its distribution, its facts, its weighted support."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.distributions import Distribution

from estimators.registry import Registry

Tensors = dict[str, Tensor]
"""Tensors by parameter name. θ is one such dictionary, a distribution's own parameters are another."""


@dataclass(frozen=True)
class Family(ABC):
    """A family of distributions at a default θ; the dataclass fields are its settings.

    θ is float64 on the CPU; each entry is one *block* of the gradient. `encode` takes θ to the
    distribution's own parameters, once; `build` takes parameters with any leading axes.
    The first of `coordinates` is the default. `data_axes` counts the leading axes of the parameters
    that run over data (an amortised posterior): the problem's target is the mean over them.
    """

    name: ClassVar[str]
    used_by: ClassVar[str]
    discrete: ClassVar[bool]
    factorised: ClassVar[bool] = True
    reparameterised: ClassVar[bool]
    tractable_density: ClassVar[bool] = True
    coordinates: ClassVar[tuple[str, ...]] = ("unconstrained", "natural")
    points: ClassVar[tuple[str, ...]] = ("default",)
    version: ClassVar[int] = 1
    data_axes: ClassVar[int] = 0

    size: int = 5

    @abstractmethod
    def theta(self, point: str, coordinates: str) -> Tensors:
        """θ at a named point, in the named coordinates."""

    @abstractmethod
    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        """θ → the parameters that `build` takes; differentiable."""

    @abstractmethod
    def build(self, parameters: Tensors) -> Distribution:
        """The distribution at these parameters, `[*leading, …]`; unvalidated."""

    def marginals(self, parameters: Tensors) -> Distribution:
        """The coordinates' own distributions, batch `[*leading, size]`, for separable objectives."""
        raise NotImplementedError(f"{self.name} has no one-dimensional marginals")

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        """A weighted support of each coordinate: points and weights, both `[S, *leading, size]`, constant.

        Σ_s w_s q_d(z_s) h(z_s) is E h(z_d), for any h that is smooth between `breaks`; `level` + 1
        doubles the nodes, so that two levels show the error.
        """
        raise NotImplementedError(f"{self.name} has no weighted support")


distributions: Registry[Family] = Registry("distribution")
