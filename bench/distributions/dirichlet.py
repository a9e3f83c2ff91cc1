"""Points of the simplex."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from bench.distributions.base import Family, distributions
from bench.distributions.beta import Beta, DirichletDraw
from bench.distributions.line_rules import unit_interval
from bench.numerics.tensors import Tensors
from estimators.errors import BadInput
from estimators.traits import Need


class Dirichlet(torch.distributions.Dirichlet):
    """torch's Dirichlet, with draws that are differentiable under `torch.func.grad`."""

    offers_as = torch.distributions.Dirichlet
    offers_not = frozenset({Need.FACTORISED, Need.MODE})

    def rsample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        both = self.concentration.expand(*sample_shape, *self.concentration.shape).contiguous()
        draw = DirichletDraw.apply(both)
        assert isinstance(draw, Tensor)
        return draw


@distributions.register("dirichlet")
@dataclass(frozen=True)
class DirichletFamily(Family):
    """One point of the simplex with `size` coordinates; θ is log_concentration or concentration.

    Its pathwise gradient is torch's approximation, with an error of up to 5e-4. `extreme`: one concentration near 0.2.
    """

    used_by = "topic models, mixture weights (Figurnov 2018; Jankowiak, Obermeyer 2018)"
    discrete = False
    factorised = False
    reparameterised = True
    pathwise_tolerance = 5e-4
    points = ("default", "extreme")
    values = "simplex"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size < 2:
            raise BadInput(f"dirichlet needs at least 2 coordinates, not {self.size}")

    def theta(self, point: str, coordinates: str) -> Tensors:
        low, high = {"default": (-0.2, 1.3), "extreme": (-1.6, 0.8)}[point]
        free = torch.linspace(low, high, self.size, dtype=torch.float64)
        return {"log_concentration": free} if coordinates == "unconstrained" else {"concentration": free.exp()}

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        return {"concentration": theta["log_concentration"].exp()} if coordinates == "unconstrained" else theta

    def build(self, parameters: Tensors) -> Distribution:
        return Dirichlet(parameters["concentration"], validate_args=False)

    def marginals(self, parameters: Tensors) -> Distribution:
        one = parameters["concentration"]
        return Beta(one, one.sum(-1, True) - one, validate_args=False)

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        """Returns the rule for three or more coordinates; for two, `joint` avoids the rounding of 1 − z near 1."""
        if self.size == 2:
            raise NotImplementedError(f"{self.name} of two coordinates has a joint support")
        return self._betas(parameters, breaks, level)

    def joint(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        """Returns the rule for two coordinates, z and 1 − z."""
        if self.size > 2:
            raise NotImplementedError(f"{self.name} has a joint support of two coordinates only")
        z, weight = self._betas(parameters, (*breaks, *(1 - at for at in breaks)), level)
        return torch.stack([z[:, 0], 1 - z[:, 0]], 1), weight[:, 0]

    def _betas(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        one = parameters["concentration"].detach()
        rest = one.sum(-1, True) - one
        return unit_interval(one, rest, breaks, level)

    def covariance(self, parameters: Tensors) -> Tensor:
        concentration = parameters["concentration"]
        total = concentration.sum(-1, True)
        mean = concentration / total
        return (torch.diag_embed(mean) - mean[..., None] * mean[..., None, :]) / (total + 1)[..., None]
