"""A normalising flow: an autoregressive affine map of Normal noise."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import pad

from bench.distributions.base import Family, distributions
from bench.distributions.line_rules import location_scale
from bench.numerics.constants import LOG_2PI
from bench.numerics.tensors import Tensors
from estimators.traits import Need


class AffineFlow(Distribution):
    """z_d = loc_d + shift_d · t + scale_d · exp(gate_d · t) · ε_d, t = tanh z_{d−1}; all parameters `[*batch, D]`.

    Invertible, one coordinate after another (Kingma 2016; Papamakarios 2017, with one step of memory);
    shift_0 and gate_0 multiply nothing.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {  # type: ignore[misc]
        "loc": constraints.real_vector,
        "scale": constraints.independent(constraints.positive, 1),
        "shift": constraints.real_vector,
        "gate": constraints.real_vector,
    }
    support = constraints.real_vector  # type: ignore[assignment]
    has_rsample = True
    offers = frozenset({Need.DENSITY, Need.REPARAMETERISED})
    offers_not = frozenset({Need.FACTORISED, Need.MEAN, Need.MODE})

    def __init__(
        self, loc: Tensor, scale: Tensor, shift: Tensor, gate: Tensor, validate_args: bool | None = None
    ) -> None:
        self.loc, self.scale, self.shift, self.gate = loc, scale, shift, gate
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=validate_args)

    def rsample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        return self.push(torch.randn(*sample_shape, *self.loc.shape, dtype=self.loc.dtype, device=self.loc.device))

    def push(self, noise: Tensor) -> Tensor:
        """Returns z from ε."""
        z = [self.loc[..., 0] + self.scale[..., 0] * noise[..., 0]]
        for d in range(1, self.loc.shape[-1]):
            t = z[-1].tanh()
            scale = self.scale[..., d] * (self.gate[..., d] * t).exp()
            z.append(self.loc[..., d] + self.shift[..., d] * t + scale * noise[..., d])
        return torch.stack(z, -1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Returns log q of all coordinates at once: ε and the log-determinant follow from z."""
        t = pad(value[..., :-1], (1, 0)).tanh()
        log_scale = self.scale.log() + self.gate * t
        noise = (value - self.loc - self.shift * t) * (-log_scale).exp()
        return (-noise.square() / 2 - LOG_2PI / 2 - log_scale).sum(-1)


@distributions.register("affine_flow")
@dataclass(frozen=True)
class AffineFlowFamily(Family):
    """A flow of `size` coordinates; θ is loc, log_scale, shift and gate (the last two from the second coordinate on).

    `extreme`: strong gates, a funnel.
    """

    used_by = "flow posteriors and policies (Rezende, Mohamed 2015; Kingma 2016; Agrawal 2020)"
    discrete = False
    factorised = False
    reparameterised = True
    coordinates: ClassVar[tuple[str, ...]] = ("unconstrained",)
    points = ("default", "extreme")
    values = "real"
    pushed_size = 2

    size: int = 2

    def theta(self, point: str, coordinates: str) -> Tensors:
        gate = {"default": 0.5, "extreme": 2.0}[point]
        later = torch.arange(1, self.size, dtype=torch.float64)
        return {
            "loc": torch.linspace(-0.6, 1.2, self.size, dtype=torch.float64),
            "log_scale": torch.linspace(-0.9, -0.1, self.size, dtype=torch.float64),
            "shift": 0.8 + 0.3 * (1.7 * later).sin(),
            "gate": gate + 0.2 * (2.3 * later).sin(),
        }

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        return {
            "loc": theta["loc"],
            "scale": theta["log_scale"].exp(),
            "shift": pad(theta["shift"], (1, 0)),
            "gate": pad(theta["gate"], (1, 0)),
        }

    def build(self, parameters: Tensors) -> Distribution:
        return AffineFlow(**parameters, validate_args=False)

    def push(self, parameters: Tensors, level: int) -> tuple[Tensor, Tensor]:
        noise, weight = grid(self.size, level)
        return AffineFlow(**parameters, validate_args=False).push(noise), weight

    def joint(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        """Returns a line rule for the first coordinate and, at each of its points, one for the second."""
        if self.size > 2:
            raise NotImplementedError(f"{self.name} has a joint support of up to two coordinates")
        loc, scale, shift, gate = (parameters[name].detach() for name in ("loc", "scale", "shift", "gate"))
        z, weight = location_scale(loc[0], scale[0], breaks, level - 2)
        if self.size == 1:
            return z[:, None], weight
        t = z.tanh()
        second, inner = location_scale(loc[1] + shift[1] * t, scale[1] * (gate[1] * t).exp(), breaks, level - 2)
        return torch.stack([z.expand_as(second), second], -1).flatten(0, 1), (weight * inner).flatten()


def grid(size: int, level: int) -> tuple[Tensor, Tensor]:
    """Returns a rule over standard Normal noise in one or two coordinates: points `[S, size]`, weights × density `[S]`.

    >>> points, weight = grid(2, 0)
    >>> round(float(weight @ points.square().prod(-1)), 12)  # E ε₀² ε₁²
    1.0
    """
    if size > 2:
        raise NotImplementedError(f"there is no rule over {size} coordinates")
    zero = torch.zeros((), dtype=torch.float64)
    node, weight = location_scale(zero, zero + 1, (), level - 3)
    weight = weight * (-node.square() / 2 - LOG_2PI / 2).exp()
    points = torch.cartesian_prod(*[node] * size).reshape(-1, size)
    weight = torch.cartesian_prod(*[weight] * size).reshape(-1, size).prod(-1)
    return points[weight > 0], weight[weight > 0]
